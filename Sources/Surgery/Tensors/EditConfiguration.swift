import CheckpointIO
import OrderedJSON

/// Changes fields of a checkpoint's config.json without touching the tensors.
public enum EditConfiguration {
    /// A field to set, or to remove.
    public struct Edit: Sendable, Equatable {
        let path: [String]
        let value: JSON?

        /// Sets a field.
        ///
        /// - Parameter text: `KEY=VALUE`; the value is JSON, or else a string; a dot in the key leads into an object.
        /// - Throws: `SurgeryError.badOption`
        public init(setting text: String) throws {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 else {
                throw SurgeryError.badOption(name: "--set", reason: "\(quoted(text)) has no =; give KEY=VALUE")
            }
            path = try Self.path(parts[0], option: "--set")
            value = (try? JSON.parse(parts[1], maximumDepth: 16)) ?? .string(parts[1])
        }

        /// Removes a field.
        ///
        /// - Throws: `SurgeryError.badOption`
        public init(removing key: String) throws {
            path = try Self.path(key, option: "--unset")
            value = nil
        }

        private static func path(_ key: String, option: String) throws -> [String] {
            let path = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard !path.contains(""), path.count <= 8 else {
                throw SurgeryError.badOption(name: option, reason: "\(quoted(key)) is not the name of a field")
            }
            return path
        }

        /// The object after the edit.
        fileprivate func applied(to object: JSONObject, at depth: Int = 0, file: String) throws -> JSONObject {
            var object = object
            // A field whose own name has dots.
            let whole = path[depth...].joined(separator: ".")
            let isWhole = depth == path.count - 1 || object[whole] != nil
            let name = isWhole ? whole : path[depth]
            if value == nil, object[name] == nil {
                throw SurgeryError.badOption(
                    name: "--unset", reason: "the config of \(file) has no \(path.joined(separator: "."))")
            }
            guard !isWhole else {
                object[name] = value
                return object
            }
            guard let inner = object[name] == nil ? JSONObject() : object[name]?.object else {
                throw SurgeryError.badOption(
                    name: value == nil ? "--unset" : "--set", reason: "\(name) in the config of \(file) is no object")
            }
            object[name] = .object(try applied(to: inner, at: depth + 1, file: file))
            return object
        }
    }

    /// Writes a copy of a checkpoint with another configuration, which must fit its tensors.
    ///
    /// - Throws: `SurgeryError`; `ConfigurationError` for a configuration that `ckpt` does not run; an error of reading
    ///   or writing. No output exists then.
    public static func run(
        _ input: CheckpointFile, _ edits: [Edit], to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        guard var config = try parsedJSON(input.metadata.config, at: "/config", path: input.path)?.object else {
            throw SurgeryError.malformed(path: input.path, place: "/config", reason: "is not an object")
        }
        for edit in edits { config = try edit.applied(to: config, file: input.path) }
        let configuration = try ModelConfiguration(.object(config))
        let tied = input.metadata.tiedTensors
        if let problem = ArchitectureFit.problem(configuration, input.tensors().map(\.description), tied: tied) {
            throw SurgeryError.badOption(name: "config", reason: "with these fields, \(problem)")
        }
        guard configuration.tiesWordEmbeddings == !tied.isEmpty else {
            throw SurgeryError.badOption(
                name: "config", reason: "tie_word_embeddings must stay \(!tied.isEmpty), as the tensors are stored")
        }
        let changes = edits.map { edit in
            JSON.object(
                JSONObject([("field", .string(edit.path.joined(separator: "."))), ("value", edit.value ?? .null)]))
        }
        var output = SurgeryOutput(
            "config",
            arguments: [
                "set": .array(edits.filter { $0.value != nil }.map { .string($0.path.joined(separator: ".")) }),
                "unset": .array(edits.filter { $0.value == nil }.map { .string($0.path.joined(separator: ".")) }),
            ], of: input, to: destination,
            report: ["changes": .array(changes), "before": .string(input.metadata.config)])
        output.metadata.config = JSON.object(config).serialized(indent: 2) + "\n"
        // No tensor changes, so an adapter stays valid.
        output.metadata.keepTrainingState(of: input.metadata)
        for tensor in TensorGroup.allCases.flatMap({ input.tensors(in: $0) }) { output.copy(tensor, from: input) }
        return try output.write()
    }
}
