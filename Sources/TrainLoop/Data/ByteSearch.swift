import CSystem
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

    /// Offset in bytes of the last occurrence.
    ///
    /// - Parameter ignoringCase: letters of ASCII count as equal in either case; the pattern is in lower case.
    func lastByteOffset(of pattern: String, ignoringCase: Bool = false) -> Int? {
        var text = self
        var pattern = pattern
        return text.withUTF8 { text in
            pattern.withUTF8 { pattern in
                let count = pattern.count
                guard count > 0, text.count >= count, let bytes = text.baseAddress else { return nil }
                // Sets the bit in which the cases of a letter differ; what agrees so is looked at in full.
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
