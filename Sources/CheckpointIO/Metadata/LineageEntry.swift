import OrderedJSON

/// An operation in a checkpoint's lineage: what was done to which parent, by which tool, with which result.
public struct LineageEntry: Sendable, Equatable {
    /// The command, for example `import`, `add-tokens` or `train-rl`.
    public var operation: String
    /// The options in effect, a JSON object.
    public var arguments: JSON
    /// The digest of the parent checkpoint; nil for the first operation.
    public var parent: String?
    /// The tool and its version, for example `ckpt 0.1.0`.
    public var tool: String
    /// The operation's report about its result, a JSON object.
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

    /// Parses an element of `CheckpointMetadata.lineage`; nil if the text is not a lineage entry.
    public init?(text: String) {
        guard let json = try? JSON.parse(text), let operation = json["operation"]?.string else { return nil }
        self.init(
            operation: operation, arguments: json["arguments"] ?? .object(JSONObject()),
            parent: json["parent"]?.string, tool: json["tool"]?.string ?? "",
            report: json["report"] ?? .object(JSONObject()))
    }

    /// The JSON text for `CheckpointMetadata.lineage`.
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
