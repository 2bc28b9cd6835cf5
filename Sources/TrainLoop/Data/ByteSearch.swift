import Foundation

/// Search in text byte by byte: linear, and blind to combining characters, which would hide a tag from Swift's own
/// comparison of characters but not from a tokenizer.
extension String {
    /// Offsets in bytes of every occurrence that does not overlap the one before.
    func byteOffsets(of pattern: String, limit: Int = .max) -> [Int] {
        var text = self
        var pattern = pattern
        let count = (text: text.utf8.count, pattern: pattern.utf8.count)
        return text.withUTF8 { text in
            pattern.withUTF8 { pattern in
                var offsets: [Int] = []
                guard let text = text.baseAddress, let pattern = pattern.baseAddress else { return offsets }
                var start = 0
                // The patterns are tags of a few bytes, so looking for their first byte is all it takes.
                while offsets.count < limit, start + count.pattern <= count.text,
                    let found = memchr(text + start, Int32(pattern[0]), count.text - count.pattern - start + 1)
                {
                    let offset = UnsafeRawPointer(text).distance(to: found)
                    let matches = memcmp(found, pattern, count.pattern) == 0
                    if matches { offsets.append(offset) }
                    start = offset + (matches ? count.pattern : 1)
                }
                return offsets
            }
        }
    }

    /// Offset in bytes of the last occurrence.
    ///
    /// - Parameter ignoringCase: letters of ASCII count as equal in either case; the pattern is in lower case.
    func lastByteOffset(of pattern: String, ignoringCase: Bool = false) -> Int? {
        var text = self
        var pattern = pattern
        return text.withUTF8 { text in
            pattern.withUTF8 { pattern in
                func folded(_ byte: UInt8) -> UInt8 { ignoringCase && byte &- 65 < 26 ? byte | 0x20 : byte }
                guard let last = pattern.last, text.count >= pattern.count else { return nil }
                var end = text.count
                while end >= pattern.count {
                    if folded(text[end - 1]) == last,
                        pattern.indices.allSatisfy({ folded(text[end - pattern.count + $0]) == pattern[$0] })
                    {
                        return end - pattern.count
                    }
                    end -= 1
                }
                return nil
            }
        }
    }

    /// True if the bytes of the pattern occur.
    func containsBytes(of pattern: String) -> Bool { !byteOffsets(of: pattern, limit: 1).isEmpty }

    /// The text between two offsets in bytes that lie at the edges of ASCII characters.
    func bytes(_ range: Range<Int>) -> String {
        String(
            self[
                utf8.index(startIndex, offsetBy: range.lowerBound)..<utf8.index(startIndex, offsetBy: range.upperBound)]
        )
    }
}
