import Foundation

/// How the final answer is found in a text.
///
/// The text is the answer part of a response: the text after `</think>`, or the whole short response. The thinking is
/// never searched.
public enum AnswerRule: String, Sendable, CaseIterable {
    /// The content of the last balanced `\boxed{}` or `\fbox{}`; the default of training.
    case boxed
    /// The whole text, trimmed.
    case bare
    /// The first of these that exists: a box, the text after the last `####`, the text after the last "answer is", the
    /// last number; the default of evaluation.
    case any
}

/// Finds the final answer in a text.
///
/// The time is linear in the length of any text.
public enum AnswerExtraction {
    /// Finds the final answer.
    ///
    /// - Parameters:
    ///   - text: the answer part of a response.
    ///   - rule: how the answer is marked.
    /// - Returns: the answer, trimmed; nil if there is none or it is empty.
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

    /// The content of the last box to be closed.
    static func boxed(_ text: String) -> String? {
        guard text.containsBytes(of: #"\boxed"#) || text.containsBytes(of: #"\fbox"#) else { return nil }
        var text = text
        return text.withUTF8 { bytes in
            // The number of open braces, and for each open box the start and depth of its content.
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
                    // The next byte is escaped: \{ and \} do not count as braces.
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

    /// The offset after the brace of a `\boxed {` or `\fbox{` at `start`; nil if there is none.
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

    /// The rest of the line after the last `####`, and the text before it.
    static func afterHashes(_ text: String) -> (before: String, text: String)? {
        guard let offset = text.lastByteOffset(of: "####") else { return nil }
        let rest = text.bytes(offset + 4..<text.utf8.count).trimmed
        let line = rest.firstLine.trimmed
        return line.isEmpty ? nil : (text.bytes(0..<offset).trimmed, line)
    }

    /// The text after the last "answer is", up to the end of the sentence.
    private static func afterPhrase(_ text: String) -> String? {
        guard let offset = text.lastByteOffset(of: "answer is", ignoringCase: true) else { return nil }
        var rest = text.bytes(offset + "answer is".utf8.count..<text.utf8.count).trimmed
        if rest.hasPrefix(":") { rest = String(rest.dropFirst()).trimmed }
        let line = rest.firstLine
        // A full stop before a digit is a decimal point.
        let bytes = Array(line.utf8)
        let end = bytes.indices.first { index in
            bytes[index] == UInt8(ascii: ".") && (index + 1 == bytes.count || !(48...57).contains(bytes[index + 1]))
        }
        let phrase = String(decoding: bytes[..<(end ?? bytes.count)], as: UTF8.self).trimmed
        return phrase.isEmpty ? nil : phrase
    }

    /// The last number: digits with thousands separators, a decimal part or a slash, and a sign.
    ///
    /// A `-` after a digit is a minus or a range, not a sign.
    private static func lastNumber(_ text: String) -> String? {
        var text = text
        return text.withUTF8 { bytes in
            func isDigit(_ index: Int) -> Bool { index >= 0 && index < bytes.count && bytes[index] &- 48 < 10 }
            var last = bytes.count - 1
            while last >= 0, !isDigit(last) { last -= 1 }
            guard last >= 0 else { return nil }
            var start = last
            // The grader compares longer numbers by their bytes only, so the walk back can stop early.
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
