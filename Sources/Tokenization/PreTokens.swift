/// A text during pre-tokenization: its bytes and the ranges of the pre-tokens.
struct PreTokens {
    private(set) var bytes: [UInt8]
    private(set) var ranges: [Range<Int>]
    /// What stands before the bytes.
    private let position: TextPosition

    /// Starts with all of the bytes, valid UTF-8, as one pre-token.
    init(_ bytes: [UInt8], _ position: TextPosition) {
        self.bytes = bytes
        self.position = position
        ranges = bytes.isEmpty ? [] : [0..<bytes.count]
    }

    typealias Matches = (UnsafeBufferPointer<UInt8>, (Range<Int>) -> Void) -> Void

    /// Splits every pre-token at its matches.
    ///
    /// - Parameters:
    ///   - behavior: what becomes of the matches.
    ///   - inverted: whether the text between matches counts as the match.
    ///   - matches: calls its second argument with each match, in order.
    mutating func split(_ behavior: SplitBehavior, inverted: Bool, _ matches: Matches) {
        var result: [Range<Int>] = []
        result.reserveCapacity(ranges.count)
        bytes.withUnsafeBufferPointer { buffer in
            for range in ranges {
                var collector = SplitCollector(behavior: behavior, base: range.lowerBound)
                var end = 0
                matches(UnsafeBufferPointer(rebasing: buffer[range])) { match in
                    if end < match.lowerBound { collector.append(end..<match.lowerBound, isMatch: inverted, &result) }
                    collector.append(match, isMatch: !inverted, &result)
                    end = match.upperBound
                }
                if end < range.count { collector.append(end..<range.count, isMatch: inverted, &result) }
                collector.finish(&result)
            }
        }
        ranges = result
    }

    /// Rewrites every pre-token.
    ///
    /// - Parameter body: appends the new bytes of a pre-token to its third argument. The second is what stands before
    ///   it; a pre-token after another counts like one after an added token.
    mutating func rewrite(_ body: (UnsafeBufferPointer<UInt8>, TextPosition, inout [UInt8]) -> Void) {
        var newBytes: [UInt8] = []
        newBytes.reserveCapacity(bytes.count + bytes.count / 4 + ranges.count)
        bytes.withUnsafeBufferPointer { buffer in
            for index in ranges.indices {
                let start = newBytes.count
                let range = ranges[index]
                let position = range.lowerBound == 0 ? position : .afterAddedToken
                body(UnsafeBufferPointer(rebasing: buffer[range]), position, &newBytes)
                ranges[index] = start..<newBytes.count
            }
        }
        bytes = newBytes
    }

    /// Prepends a space to every pre-token that does not start with one.
    mutating func addPrefixSpaces() {
        rewrite { old, position, result in
            if old.first != UInt8(ascii: " "), position != .afterText { result.append(UInt8(ascii: " ")) }
            result.append(contentsOf: old)
        }
    }
}

/// Turns the matches and gaps of one pre-token into new pre-tokens.
///
/// Empty ranges are dropped only on output, because they affect which ranges merge.
private struct SplitCollector {
    let behavior: SplitBehavior
    let base: Int
    private var previousWasMatch = false
    private var hasPending = false
    private var pending = 0..<0
    /// All ranges of this pre-token, for `mergedWithNext`, which merges from the right.
    private var parts: [(range: Range<Int>, isMatch: Bool)] = []

    init(behavior: SplitBehavior, base: Int) {
        self.behavior = behavior
        self.base = base
    }

    @inline(__always)
    private func emit(_ range: Range<Int>, _ result: inout [Range<Int>]) {
        if !range.isEmpty { result.append(base + range.lowerBound..<base + range.upperBound) }
    }

    @inline(__always)
    mutating func append(_ range: Range<Int>, isMatch: Bool, _ result: inout [Range<Int>]) {
        switch behavior {
        case .isolated: emit(range, &result)
        case .removed: if !isMatch { emit(range, &result) }
        case .mergedWithPrevious, .contiguous:
            let joins = behavior == .contiguous ? isMatch == previousWasMatch : isMatch && !previousWasMatch
            if joins, hasPending {
                pending = pending.lowerBound..<range.upperBound
            } else {
                if hasPending { emit(pending, &result) }
                pending = range
                hasPending = true
            }
            previousWasMatch = isMatch
        case .mergedWithNext: parts.append((range, isMatch))
        }
    }

    mutating func finish(_ result: inout [Range<Int>]) {
        if hasPending { emit(pending, &result) }
        var merged: [Range<Int>] = []
        for part in parts.reversed() {
            if part.isMatch, !previousWasMatch, let last = merged.last {
                merged[merged.count - 1] = part.range.lowerBound..<last.upperBound
            } else {
                merged.append(part.range)
            }
            previousWasMatch = part.isMatch
        }
        for range in merged.reversed() { emit(range, &result) }
    }
}
