import OrderedJSON

/// One step of a checkpoint's story: what was done, to which parent, by which tool, and what it reported.
public struct LineageEntry: Sendable, Equatable {
    /// The verb, e.g. `import`, `add-tokens`, `train-rl`.
    public var operation: String
    /// The options in force, an object.
    public var arguments: JSON
    /// The digest of the checkpoint this was made from; nil for the first.
    public var parent: String?
    /// e.g. `ckpt 0.1.0`.
    public var tool: String
    /// What the operation had to say about its result, an object.
    public var report: JSON

    public init(
        operation: String, arguments: JSON = .object(JSONObject()), parent: String?, tool: String,
        report: JSON = .object(JSONObject())
    ) {
        self.operation = operation
        self.arguments = arguments
        self.parent = parent
        self.tool = tool
        self.report = report
    }

    /// Reads an entry from `CheckpointMetadata.lineage`; nil where the text is not one.
    public init?(text: String) {
        guard let json = try? JSON.parse(text), let operation = json["operation"]?.string else { return nil }
        self.init(
            operation: operation, arguments: json["arguments"] ?? .object(JSONObject()),
            parent: json["parent"]?.string, tool: json["tool"]?.string ?? "",
            report: json["report"] ?? .object(JSONObject()))
    }

    /// The entry as JSON text for `CheckpointMetadata.lineage`.
    public var text: String {
        var members = JSONObject()
        members["operation"] = .string(operation)
        members["arguments"] = arguments
        members["parent"] = parent.map(JSON.string) ?? .null
        members["tool"] = .string(tool)
        members["report"] = report
        return JSON.object(members).serialized()
    }
}
