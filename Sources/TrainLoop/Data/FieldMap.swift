import OrderedJSON

/// Which fields of a file hold what readers look for: `problem=question,answer=reward_model.ground_truth`.
public struct FieldMap: Sendable, Equatable {
    /// What a field can be mapped to.
    package static let targets = [
        "problem", "input", "system", "messages", "answer", "solution", "level", "source", "id", "think", "short",
        "response", "reasoning",
    ]
    /// Fields of published data sets that a mapped field replaces.
    private static let replaced: [Set<String>] = [
        [
            "problem", "question", "Problem", "instruction", "input", "prompt", "messages", "conversations",
            "conversation",
        ],
        ["answer", "Answer", "final_answer", "expected_answer", "ground_truth", "reward_model"],
        ["response", "completion", "output", "generation", "generations", "deepseek_solution"],
    ]

    private struct Entry: Sendable, Equatable {
        let target: String
        let source: String
        var names: [Substring] { source.split(separator: ".", omittingEmptySubsequences: false) }
    }

    private let entries: [Entry]

    /// The fields as they were given.
    public var text: String { entries.map { "\($0.target)=\($0.source)" }.joined(separator: ",") }

    /// Parses `target=field` pairs separated by commas; dots in a field lead into objects and lists.
    ///
    /// - Throws: `OptionError`.
    public init(_ text: String) throws {
        entries = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard sides.count == 2, !sides[1].isEmpty else {
                throw OptionError(
                    "--map takes names and fields, like problem=question,answer=final; \"\(part)\" is neither")
            }
            guard Self.targets.contains(sides[0]) else {
                let names = Self.targets.joined(separator: ", ")
                throw OptionError("--map: \"\(sides[0])\" is not read from data; the names are \(names)")
            }
            return Entry(target: sides[0], source: sides[1])
        }
        guard Set(entries.map(\.target)).count == entries.count else {
            throw OptionError("--map gives a name twice")
        }
    }

    /// Names that only responses are read from; a file of problems need not have their fields.
    private static let ofResponses: Set = ["think", "short", "response", "reasoning"]

    /// The mapped fields that a file must have.
    func sources(withResponses: Bool) -> [String] {
        entries.filter { withResponses || !Self.ofResponses.contains($0.target) }.map(\.source)
    }

    /// The members under the names that readers know, without those that mapped fields replace.
    ///
    /// - Parameters:
    ///   - members: the row as the file has it.
    ///   - isOptional: keeps the fields of a row that lacks a mapped one.
    ///   - found: receives the mapped fields that the row has.
    /// - Returns: the row with the standard names of fields.
    func applied(to members: JSONObject, isOptional: Bool, found: inout Set<String>) -> JSONObject {
        let values = entries.map { (entry: $0, value: Self.value($0, in: members)) }
        let used = values.filter { $0.value != nil || !isOptional }
        var result = members
        for names in Self.replaced where used.contains(where: { names.contains($0.entry.target) }) {
            for name in names { result[name] = nil }
        }
        for (entry, value) in used {
            if value != nil { found.insert(entry.source) }
            result[entry.target] = value
        }
        return result
    }

    private static func value(_ entry: Entry, in members: JSONObject) -> JSON? {
        // A field may have a dot in its name.
        if let value = members[entry.source] { return value }
        var value = JSON.object(members)
        for name in entry.names {
            switch value {
            case .object(let members):
                guard let next = members[String(name)] else { return nil }
                value = next
            case .array(let elements):
                guard let index = Int(name), elements.indices.contains(index) else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }
}
