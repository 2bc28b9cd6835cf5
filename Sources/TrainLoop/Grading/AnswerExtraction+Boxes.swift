import Foundation

/// `\boxed{}` and `\fbox{}`.
extension AnswerExtraction {
    /// More nested boxes around the whole content are left to the parser.
    private static let maximumUnwrapping = 8

    /// The content of the last box to be closed, without boxes around the whole of it.
    ///
    /// Boxes that only commas, "and" or "or" separate are one list.
    static func boxed(_ text: String) -> String? {
        let boxes = lastBoxes(text)
        if boxes.count > 1 { return boxes.joined(separator: ", ") }
        var content = boxes.first
        for _ in 0..<maximumUnwrapping {
            guard let outer = content?.trimmed, outer.utf8.count <= 2 * MathGrader.maximumByteCount,
                outer.utf8.first == UInt8(ascii: "\\"),
                outer.utf8.last == UInt8(ascii: "}"), let inner = lastBoxes(outer).last,
                [#"\boxed"#, #"\fbox"#].contains(where: { outer.utf8.elementsEqual("\($0){\(inner)}".utf8) })
            else { break }
            content = inner
        }
        return content
    }

    /// The contents of the last boxes to be closed that are items of one list.
    private static func lastBoxes(_ text: String) -> [String] {
        var text = text
        return text.withUTF8 { bytes in
            // The number of open braces, and for each open box its start, and the start and depth of its content.
            var depth = 0
            var boxes: [(start: Int, content: Int, depth: Int)] = []
            var last: [(whole: Range<Int>, content: Range<Int>)] = []
            func close(_ whole: Range<Int>, _ content: Range<Int>) {
                let continuesList =
                    last.last.map { previous in
                        last.count < maximumItemCount && previous.whole.upperBound <= whole.lowerBound
                            && separatesItems(bytes, previous.whole.upperBound..<whole.lowerBound)
                    } ?? false
                if !continuesList { last.removeAll(keepingCapacity: true) }
                last.append((whole, content))
            }
            var index = 0
            while index < bytes.count {
                switch bytes[index] {
                case UInt8(ascii: "\\"):
                    // Most commands are neither \boxed nor \fbox.
                    let next = index + 1 < bytes.count ? bytes[index + 1] : 0
                    guard next == UInt8(ascii: "b") || next == UInt8(ascii: "f") else {
                        index += 2
                        continue
                    }
                    switch boxOpening(bytes, at: index) {
                    case .brace(let content):
                        depth += 1
                        boxes.append((index, content, depth))
                        index = content
                        continue
                    case .bare(let content):
                        close(index..<content.upperBound, content)
                        index = content.upperBound
                        continue
                    case nil: break
                    }
                    // The next byte is escaped: \{ and \} do not count as braces.
                    index += 1
                case UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "}"):
                    if let box = boxes.last, box.depth == depth {
                        close(box.start..<index + 1, box.content..<index)
                        boxes.removeLast()
                    }
                    depth = max(0, depth - 1)
                default: break
                }
                index += 1
            }
            return last.map { String(decoding: bytes[$0.content], as: UTF8.self) }
        }
    }

    /// Longer lists of boxes are no lists.
    private static let maximumItemCount = 16

    /// Whether only a comma, "and" or "or" stands between two boxes, apart from dollar signs and space.
    private static func separatesItems(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        guard (1...40).contains(range.count) else { return false }
        var text = String(decoding: bytes[range], as: UTF8.self)
        for mark in [#"\text"#, #"\quad"#, #"\qquad"#, #"\ "#, #"\;"#, #"\("#, #"\)"#, "$", "{", "}", " ", "\n"] {
            text = text.replacing(mark, with: "")
        }
        return [",", ";", "and", "or", ",and", ",or"].contains(text)
    }

    private enum BoxOpening {
        /// The offset after the brace of `\boxed {` or `\fbox{`.
        case brace(Int)
        /// The digits of `\boxed 5`.
        case bare(Range<Int>)
    }

    private static func boxOpening(_ bytes: UnsafeBufferPointer<UInt8>, at start: Int) -> BoxOpening? {
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
        if index < bytes.count, bytes[index] == UInt8(ascii: "{") { return .brace(index + 1) }
        // `\boxedx` is another command.
        return bareContent(bytes, at: index, allowsLetter: index > start + count).map { .bare($0) }
    }

    /// A number or one letter that ends at white space, a dollar sign or the end of a sentence.
    private static func bareContent(
        _ bytes: UnsafeBufferPointer<UInt8>, at start: Int, allowsLetter: Bool
    ) -> Range<Int>? {
        var end = start
        while end < bytes.count, end - start <= MathGrader.maximumByteCount,
            bytes[end] &- 48 < 10 || "-.,/%".utf8.contains(bytes[end])
        {
            end += 1
        }
        if allowsLetter, end == start, end < bytes.count, (bytes[end] | 0x20) &- 97 < 26 { end += 1 }
        guard end == bytes.count || bytes[end].isASCIISpace || "$.,;)\\".utf8.contains(bytes[end]) else { return nil }
        while end > start, ".,".utf8.contains(bytes[end - 1]) { end -= 1 }
        return end > start ? start..<end : nil
    }
}
