/// A stretch of text between added tokens, or an added token found in it.
enum AddedTokenSegment {
    case text(Range<Int>)
    case token(Int)
}

/// Finds added tokens in a text with a trie: leftmost match first, then the longest.
struct AddedTokenMatcher: Sendable {
    private let tokens: [AddedToken]
    /// Indices in `tokens` by text.
    private let trie: ByteTrie

    /// The longest token in bytes, which bounds the work per byte of text.
    static let maximumLength = 512

    /// - Parameter texts: each token with the text to match, which may be normalized.
    init(_ texts: [(text: [UInt8], token: AddedToken)]) {
        var trie = ByteTrie(capacity: texts.reduce(0) { $0 + $1.text.count })
        for (index, (text, _)) in texts.enumerated() where !text.isEmpty { trie.insert(text, value: Int32(index)) }
        tokens = texts.map(\.token)
        self.trie = trie
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// The first token that occurs in valid UTF-8.
    func first(in bytes: UnsafeBufferPointer<UInt8>) -> AddedToken? {
        for position in bytes.indices {
            if let match = longest(bytes, from: position, to: bytes.count) { return tokens[match.index] }
        }
        return nil
    }

    /// Splits `range` of valid UTF-8 into added tokens and the text between them.
    func segments(of bytes: UnsafeBufferPointer<UInt8>, in range: Range<Int>) -> [AddedTokenSegment] {
        guard !isEmpty else { return range.isEmpty ? [] : [.text(range)] }
        var segments: [AddedTokenSegment] = []
        var done = range.lowerBound
        var position = range.lowerBound
        while position < range.upperBound {
            guard let match = longest(bytes, from: position, to: range.upperBound) else {
                position += 1
                continue
            }
            let token = tokens[match.index]
            var start = position
            var end = match.end
            position = end
            if token.singleWord, touchesWord(bytes, range, start, end) { continue }
            if token.lstrip { start = spaceStart(bytes, done, before: start) }
            if token.rstrip { end = spaceEnd(bytes, range.upperBound, from: end) }
            if done < start { segments.append(.text(done..<start)) }
            segments.append(.token(token.id))
            done = end
        }
        if done < range.upperBound { segments.append(.text(done..<range.upperBound)) }
        return segments
    }

    @inline(__always)
    private func longest(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, to limit: Int
    ) -> (index: Int, end: Int)? {
        var node = ByteTrie.root
        var position = start
        var best: (index: Int, end: Int)?
        while position < limit, let child = trie.child(of: node, bytes[position]) {
            node = child
            position += 1
            let value = trie.value(at: node)
            if value >= 0 { best = (Int(value), position) }
        }
        return best
    }

    private func touchesWord(
        _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ start: Int, _ end: Int
    ) -> Bool {
        if start > range.lowerBound {
            let before = UTF8Scan.scalar(bytes, at: UTF8Scan.start(before: start, in: bytes)).0
            if Self.isWord(before) { return true }
        }
        return end < range.upperBound && Self.isWord(UTF8Scan.scalar(bytes, at: end).0)
    }

    /// Whether UTS #18 counts a character as a word character: letters, marks, decimal digits, connectors, joiners.
    ///
    /// Uses Unicode 16, as the `tokenizers` library does.
    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        guard (scalar.properties.age?.major ?? 0) <= 16 else { return false }
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .spacingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    private func spaceStart(_ bytes: UnsafeBufferPointer<UInt8>, _ lowest: Int, before end: Int) -> Int {
        var start = end
        while start > lowest {
            let previous = UTF8Scan.start(before: start, in: bytes)
            guard UTF8Scan.scalar(bytes, at: previous).0.properties.isWhitespace else { break }
            start = previous
        }
        return start
    }

    private func spaceEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ highest: Int, from start: Int) -> Int {
        var end = start
        while end < highest {
            let (scalar, length) = UTF8Scan.scalar(bytes, at: end)
            guard scalar.properties.isWhitespace else { break }
            end += length
        }
        return end
    }
}
