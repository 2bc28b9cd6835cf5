import CSystem
import Foundation

/// Linear-time search by bytes.
///
/// Swift compares characters: a combining mark after a tag hides the tag from Swift's own search, but not from a
/// tokenizer.
extension String {
    /// Byte offsets of all occurrences that do not overlap.
    func byteOffsets(of pattern: String, limit: Int = .max) -> [Int] {
        var text = self
        var pattern = pattern
        let count = (text: text.utf8.count, pattern: pattern.utf8.count)
        return text.withUTF8 { text in
            pattern.withUTF8 { pattern in
                var offsets: [Int] = []
                guard let text = text.baseAddress, let pattern = pattern.baseAddress else { return offsets }
                var start = 0
                while offsets.count < limit,
                    let found = memmem(text + start, count.text - start, pattern, count.pattern)
                {
                    let offset = UnsafeRawPointer(text).distance(to: found)
                    offsets.append(offset)
                    start = offset + max(1, count.pattern)
                }
                return offsets
            }
        }
    }

    /// The byte offset of the last occurrence.
    ///
    /// - Parameters:
    ///   - pattern: in lower case if case is ignored.
    ///   - ignoringCase: ASCII letters match in either case.
    /// - Returns: nil if the pattern is empty or does not occur.
    func lastByteOffset(of pattern: String, ignoringCase: Bool = false) -> Int? {
        var text = self
        var pattern = pattern
        return text.withUTF8 { text in
            pattern.withUTF8 { pattern in
                let count = pattern.count
                guard count > 0, text.count >= count, let bytes = text.baseAddress else { return nil }
                // Upper and lower case differ in this bit. Candidates that match by their last byte are compared in
                // full.
                let mask: UInt8 = ignoringCase ? 0x20 : 0
                let last = pattern[count - 1] | mask
                func folded(_ byte: UInt8) -> UInt8 { ignoringCase && byte &- 65 < 26 ? byte | 0x20 : byte }
                var start = text.count - count
                while start >= 0 {
                    if bytes[start + count - 1] | mask == last,
                        (0..<count).allSatisfy({ folded(bytes[start + $0]) == pattern[$0] })
                    {
                        return start
                    }
                    start -= 1
                }
                return nil
            }
        }
    }

    func containsBytes(of pattern: String) -> Bool { !byteOffsets(of: pattern, limit: 1).isEmpty }

    /// The text between two byte offsets, both at the edge of an ASCII character.
    func bytes(_ range: Range<Int>) -> String {
        String(
            self[
                utf8.index(startIndex, offsetBy: range.lowerBound)..<utf8.index(startIndex, offsetBy: range.upperBound)]
        )
    }

    /// The text without ASCII white space at both ends.
    var trimmed: String {
        var text = self
        let range = text.withUTF8 { bytes in
            var (start, end) = (0, bytes.count)
            while start < end, bytes[start].isASCIISpace { start += 1 }
            while end > start, bytes[end - 1].isASCIISpace { end -= 1 }
            return start..<end
        }
        return range.count == utf8.count ? self : bytes(range)
    }

    /// The text before the first line feed.
    var firstLine: String {
        var text = self
        let end = text.withUTF8 { bytes -> Int? in
            guard let start = bytes.baseAddress, let found = memchr(start, Int32(UInt8(ascii: "\n")), bytes.count)
            else {
                return nil
            }
            return UnsafeRawPointer(start).distance(to: found)
        }
        return end.map { bytes(0..<$0) } ?? self
    }
}

extension UInt8 {
    /// A space, or one of the control characters from tab to carriage return.
    var isASCIISpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}
