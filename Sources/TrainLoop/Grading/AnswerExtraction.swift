import Foundation

/// Where in a text the answer stands.
///
/// The text is the answer part of a response: what follows `</think>`, or the short response. What stands inside the
/// thinking is never looked at; `ResponseForm` cuts it off by token ids.
public enum AnswerRule: String, Sendable, CaseIterable {
    /// The content of the last balanced `\boxed{}` (or `\fbox{}`). Training's rule.
    case boxed
    /// The whole text without surrounding white space.
    case bare
    /// The first of these that is there: a box, the text after the last `####`, the text after the last "answer is",
    /// the last number. Evaluation's lenient rule.
    case any
}

/// Finds answers in texts, in time linear in the length of the text whatever is in it.
public enum AnswerExtraction {
    /// The answer, without surrounding white space; nil if the rule finds none or an empty one.
    public static func answer(in text: String, rule: AnswerRule) -> String? {
        let found: String?
        switch rule {
        case .boxed: found = boxed(text)
        case .bare: found = text
        case .any:
            found = boxed(text) ?? afterHashes(text)?.text ?? afterPhrase(text) ?? lastNumber(text)
        }
        guard let answer = found?.trimmed, !answer.isEmpty else { return nil }
        return answer
    }

    /// The content of the box that closes last.
    static func boxed(_ text: String) -> String? {
        guard text.containsBytes(of: #"\boxed"#) || text.containsBytes(of: #"\fbox"#) else { return nil }
        var text = text
        return text.withUTF8 { bytes in
            // Braces that are open, and of the boxes among them where their content starts and at which depth.
            var depth = 0
            var boxes: [(content: Int, depth: Int)] = []
            var last: Range<Int>?
            var index = 0
            while index < bytes.count {
                switch bytes[index] {
                case UInt8(ascii: "\\"):
                    if let content = boxOpening(bytes, at: index) {
                        depth += 1
                        boxes.append((content, depth))
                        index = content
                        continue
                    }
                    // The next byte is escaped: \{ and \} are no braces.
                    index += 1
                case UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "}"):
                    if let box = boxes.last, box.depth == depth {
                        last = box.content..<index
                        boxes.removeLast()
                    }
                    depth = max(0, depth - 1)
                default: break
                }
                index += 1
            }
            return last.map { String(decoding: bytes[$0], as: UTF8.self) }
        }
    }

    /// Behind the brace of `\boxed {` or `\fbox{` at this place, or nil.
    private static func boxOpening(_ bytes: UnsafeBufferPointer<UInt8>, at start: Int) -> Int? {
        guard start + 1 < bytes.count, let base = bytes.baseAddress else { return nil }
        let command: StaticString
        switch bytes[start + 1] {
        case UInt8(ascii: "b"): command = #"\boxed"#
        case UInt8(ascii: "f"): command = #"\fbox"#
        default: return nil
        }
        let count = command.utf8CodeUnitCount
        guard start + count < bytes.count, memcmp(base + start, command.utf8Start, count) == 0 else { return nil }
        var index = start + count
        while index < bytes.count, index < start + count + 8, bytes[index] == UInt8(ascii: " ") { index += 1 }
        if index < bytes.count, bytes[index] == UInt8(ascii: "{") { return index + 1 }
        return nil
    }

    /// The rest of the line after the last `####`, and what stands before it.
    static func afterHashes(_ text: String) -> (before: String, text: String)? {
        guard let offset = text.lastByteOffset(of: "####") else { return nil }
        let rest = text.bytes(offset + 4..<text.utf8.count).trimmed
        let line = rest.firstLine.trimmed
        return line.isEmpty ? nil : (text.bytes(0..<offset).trimmed, line)
    }

    /// What follows the last "answer is", up to the end of the sentence.
    private static func afterPhrase(_ text: String) -> String? {
        guard let offset = text.lastByteOffset(of: "answer is", ignoringCase: true) else { return nil }
        var rest = text.bytes(offset + "answer is".utf8.count..<text.utf8.count).trimmed
        if rest.hasPrefix(":") { rest = String(rest.dropFirst()).trimmed }
        let line = rest.firstLine
        // A full stop ends the sentence unless a digit follows it.
        let bytes = Array(line.utf8)
        let end = bytes.indices.first { index in
            bytes[index] == UInt8(ascii: ".") && (index + 1 == bytes.count || !(48...57).contains(bytes[index + 1]))
        }
        let phrase = String(decoding: bytes[..<(end ?? bytes.count)], as: UTF8.self).trimmed
        return phrase.isEmpty ? nil : phrase
    }

    /// The last number: digits with thousands separators, a decimal part or a slash, and a sign that is no minus.
    private static func lastNumber(_ text: String) -> String? {
        var text = text
        return text.withUTF8 { bytes in
            func isDigit(_ index: Int) -> Bool { index >= 0 && index < bytes.count && bytes[index] &- 48 < 10 }
            var last = bytes.count - 1
            while last >= 0, !isDigit(last) { last -= 1 }
            guard last >= 0 else { return nil }
            var start = last
            // A longer number is equal to nothing but itself, so there is no need to walk back through all of it.
            while start > 0, last - start <= MathGrader.maximumByteCount {
                let before = bytes[start - 1]
                let joins = before == UInt8(ascii: ",") || before == UInt8(ascii: ".") || before == UInt8(ascii: "/")
                if isDigit(start - 1) || (joins && isDigit(start - 2)) { start -= 1 } else { break }
            }
            if start > 0, bytes[start - 1] == UInt8(ascii: "."), !isDigit(start - 2) { start -= 1 }
            if start > 0, bytes[start - 1] == UInt8(ascii: "-"), !isDigit(start - 2) { start -= 1 }
            return String(decoding: bytes[start...last], as: UTF8.self)
        }
    }
}

extension String {
    /// Without surrounding white space (of ASCII).
    var trimmed: String {
        var text = self
        let range = text.withUTF8 { bytes in
            func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
            var (start, end) = (0, bytes.count)
            while start < end, isSpace(bytes[start]) { start += 1 }
            while end > start, isSpace(bytes[end - 1]) { end -= 1 }
            return start..<end
        }
        return range.count == utf8.count ? self : bytes(range)
    }

    /// Up to the first line feed.
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
