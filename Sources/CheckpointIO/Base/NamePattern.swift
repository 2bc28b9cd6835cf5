/// A pattern for tensor names in which `*` matches any run of characters, dots included.
public struct NamePattern: Sendable, Equatable {
    package let text: String
    private let parts: [String]

    public init(_ text: String) {
        self.text = text
        parts = text.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
    }

    /// Number of `*` in the pattern.
    package var wildcardCount: Int { parts.count - 1 }

    public func matches(_ name: String) -> Bool { captures(in: name) != nil }

    /// The shortest text that each `*` matches in `name`, or nil if the pattern does not match.
    package func captures(in name: String) -> [Substring]? {
        guard let first = parts.first, name.hasPrefix(first) else { return nil }
        var rest = name[name.index(name.startIndex, offsetBy: first.count)...]
        if parts.count == 1 { return rest.isEmpty ? [] : nil }
        var captures: [Substring] = []
        for part in parts.dropFirst().dropLast() {
            guard !part.isEmpty else {
                captures.append(rest.prefix(0))
                continue
            }
            guard let found = rest.firstRange(of: part) else { return nil }
            captures.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        guard let last = parts.last, rest.hasSuffix(last) else { return nil }
        captures.append(rest.dropLast(last.count))
        return captures
    }
}
