/// A pattern for tensor names in which `*` matches any run of characters, dots included.
public struct NamePattern: Sendable, Equatable {
    package let text: String
    /// The UTF-8 text between the `*`.
    private let parts: [[UInt8]]

    public init(_ text: String) {
        self.text = text
        parts = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map { Array($0) }
    }

    /// Number of `*` in the pattern.
    package var wildcardCount: Int { parts.count - 1 }
    /// The bytes before the first `*`.
    fileprivate var prefix: [UInt8] { parts[0] }

    public func matches(_ name: String) -> Bool { ranges(in: Array(name.utf8)) != nil }

    /// The shortest text that each `*` matches in `name`, or nil if the pattern does not match.
    package func captures(in name: String) -> [Substring]? {
        let bytes = Array(name.utf8)
        return ranges(in: bytes)?.map { Substring(decoding: bytes[$0], as: UTF8.self) }
    }

    /// The shortest range of bytes that each `*` matches.
    fileprivate func ranges(in name: [UInt8]) -> [Range<Int>]? {
        guard name.starts(with: prefix) else { return nil }
        guard parts.count > 1 else { return name.count == prefix.count ? [] : nil }
        var result: [Range<Int>] = []
        var start = prefix.count
        for part in parts.dropFirst().dropLast() {
            guard let found = Self.first(part, in: name, from: start) else { return nil }
            result.append(start..<found)
            start = found + part.count
        }
        let last = parts[parts.count - 1]
        let end = name.count - last.count
        guard start <= end, name[end...].elementsEqual(last) else { return nil }
        return result + [start..<end]
    }

    private static func first(_ part: [UInt8], in name: [UInt8], from start: Int) -> Int? {
        var place = start
        while place + part.count <= name.count {
            if name[place..<place + part.count].elementsEqual(part) { return place }
            place += 1
        }
        return nil
    }
}

/// Many patterns, of which a look-up tries only those whose text before the first `*` begins the name.
package struct NamePatterns: Sendable {
    private let patterns: [NamePattern]
    /// Indices of patterns by the bytes before their first `*`, ascending.
    private let byPrefix: [[UInt8]: [Int]]
    /// Indices of patterns without `*`, by their bytes.
    private let literal: [[UInt8]: [Int]]
    private let prefixLengths: [Int]

    package init(_ patterns: [NamePattern]) {
        self.patterns = patterns
        var byPrefix: [[UInt8]: [Int]] = [:]
        var literal: [[UInt8]: [Int]] = [:]
        for (index, pattern) in patterns.enumerated() {
            if pattern.wildcardCount == 0 {
                literal[pattern.prefix, default: []].append(index)
            } else {
                byPrefix[pattern.prefix, default: []].append(index)
            }
        }
        (self.byPrefix, self.literal) = (byPrefix, literal)
        prefixLengths = Set(byPrefix.keys.map(\.count)).sorted()
    }

    /// The indices of all patterns that match a name, ascending.
    package func indices(matching name: String) -> [Int] {
        let bytes = Array(name.utf8)
        var result = literal[bytes] ?? []
        for length in prefixLengths.prefix(while: { $0 <= bytes.count }) {
            for index in byPrefix[Array(bytes[..<length])] ?? [] where patterns[index].ranges(in: bytes) != nil {
                result.append(index)
            }
        }
        return result.sorted()
    }

    /// The first pattern that matches none of some names; nil if each matches one.
    package func firstWithoutMatch(in names: some Sequence<String>) -> NamePattern? {
        var isMatched = [Bool](repeating: false, count: patterns.count)
        for name in names {
            for index in indices(matching: name) { isMatched[index] = true }
        }
        return isMatched.firstIndex(of: false).map { patterns[$0] }
    }
}
