import CheckpointIO
import OrderedJSON

/// Gives tensors other names; no tensor is read.
public enum Rename {
    /// A pattern and what its matches become: each `*` of the replacement is what the pattern's `*` in that place was.
    public struct Rule: Sendable, Equatable {
        let pattern: NamePattern
        let replacement: String

        /// - Throws: `SurgeryError.badOption` where the replacement has more `*` than the pattern.
        public init(_ pattern: String, _ replacement: String) throws {
            self.pattern = NamePattern(pattern)
            self.replacement = replacement
            let wanted = replacement.count { $0 == "*" }
            guard wanted <= self.pattern.wildcardCount else {
                throw SurgeryError.badOption(
                    name: "rename", reason: "\(replacement) has more * than \(pattern), so nothing can stand for them")
            }
        }

        func name(for old: String) -> String? {
            guard let captures = pattern.captures(in: old) else { return nil }
            let parts = replacement.split(separator: "*", omittingEmptySubsequences: false)
            var result = String(parts[0])
            for (part, capture) in zip(parts.dropFirst(), captures) { result += capture + part }
            return result
        }
    }

    /// Renames weights and, with them, moments and ties. The first rule that matches a name counts.
    ///
    /// - Throws: `SurgeryError.badOption` where no rule matches anything or two tensors would get one name.
    public static func run(
        _ input: CheckpointFile, _ rules: [Rule], to output: String, overwrite: Bool, tool: String,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        func renamed(_ name: String) -> String {
            for rule in rules {
                if let new = rule.name(for: name) { return new }
            }
            return name
        }
        let changes = input.tensors().map(\.description.name).filter { renamed($0) != $0 }
        guard !changes.isEmpty else {
            throw SurgeryError.badOption(
                name: "rename", reason: "no tensor of \(input.path) matches; `ckpt inspect` lists the names")
        }
        var result = SurgeryOutput(
            "rename",
            arguments: [
                "rules": .array(rules.map { .string("\($0.pattern.text)=\($0.replacement)") })
            ], of: input, tool: tool,
            report: [
                "renamed": .array(changes.map { ["from": .string($0), "to": .string(renamed($0))] })
            ])
        for group in allTensorGroups {
            var taken: [String: String] = [:]
            for tensor in input.tensors(in: group) {
                let old = tensor.description.name
                let new = renamed(old)
                if let other = taken.updateValue(old, forKey: new) {
                    throw SurgeryError.badOption(name: "rename", reason: "\(other) and \(old) would both become \(new)")
                }
                result.copy(tensor, from: input, in: group, as: new)
            }
        }
        result.metadata.tiedTensors = Dictionary(
            input.metadata.tiedTensors.map { (renamed($0.key), renamed($0.value)) },
            uniquingKeysWith: { first, _ in first })
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }
}
