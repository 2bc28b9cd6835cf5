import CheckpointIO
import OrderedJSON

/// Renames tensors without reading them.
public enum Rename {
    /// A pattern and the replacement for names it matches.
    ///
    /// The n-th `*` of the replacement takes the text that the n-th `*` of the pattern matched.
    public struct Rule: Sendable, Equatable {
        let pattern: NamePattern
        let replacement: String

        /// Creates a rule.
        ///
        /// - Throws: `SurgeryError.badOption` if the replacement has more `*` than the pattern.
        public init(_ pattern: String, _ replacement: String) throws {
            self.pattern = NamePattern(pattern)
            self.replacement = replacement
            let wanted = replacement.count { $0 == "*" }
            guard wanted <= self.pattern.wildcardCount else {
                throw SurgeryError.badOption(
                    name: "rename", reason: "\(replacement) has more * than \(pattern); leave out the additional ones")
            }
        }

        /// The new name; nil if the pattern does not match.
        package func name(for old: String) -> String? {
            guard let captures = pattern.captures(in: old) else { return nil }
            let parts = replacement.split(separator: "*", omittingEmptySubsequences: false)
            var result = String(parts[0])
            for (part, capture) in zip(parts.dropFirst(), captures) { result += capture + part }
            return result
        }
    }

    /// Writes a copy of a checkpoint in which weights, their moments and ties are renamed.
    ///
    /// - Parameters:
    ///   - input: the checkpoint to change.
    ///   - rules: the first rule that matches a name applies.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError.badOption` if a rule matches no tensor, no name changes, or two tensors would have the
    ///   same name.
    public static func run(
        _ input: CheckpointFile, _ rules: [Rule], to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let patterns = NamePatterns(rules.map(\.pattern))
        func renamed(_ name: String) -> String {
            patterns.indices(matching: name).first.flatMap { rules[$0].name(for: name) } ?? name
        }
        let changes = input.tensors().map(\.description.name).filter { renamed($0) != $0 }
        try SurgeryError.require(
            rules.map(\.pattern), toMatchTensorOf: input, andNames: Array(input.metadata.tiedTensors.keys),
            option: "rename")
        guard !changes.isEmpty else {
            throw SurgeryError.badOption(
                name: "rename", reason: "the rules change no name of a tensor in \(input.path); give other rules")
        }
        var result = SurgeryOutput(
            "rename",
            arguments: [
                "rules": .array(rules.map { .string("\($0.pattern.text)=\($0.replacement)") })
            ], of: input, to: destination,
            report: [
                "renamed": .array(changes.map { ["from": .string($0), "to": .string(renamed($0))] })
            ])
        var taken: [TensorGroup: [String: String]] = [:]
        for tensor in input.allTensors {
            let old = tensor.description.name
            // The scales of moments in 8 bits belong to the tensor whose name they extend.
            let suffix = tensor.group != .weights && old.hasSuffix("_scale") ? "_scale" : ""
            let new = renamed(String(old.dropLast(suffix.count))) + suffix
            if let other = taken[tensor.group, default: [:]].updateValue(old, forKey: new) {
                throw SurgeryError.badOption(name: "rename", reason: "\(other) and \(old) would both become \(new)")
            }
            result.copy(tensor, from: input, as: new)
        }
        result.metadata.tiedTensors = Dictionary(
            input.metadata.tiedTensors.map { (renamed($0.key), renamed($0.value)) },
            uniquingKeysWith: { first, _ in first })
        return try result.write()
    }
}
