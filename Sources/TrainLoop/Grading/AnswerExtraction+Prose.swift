/// The answer in a text without a box: behind `####`, after "answer is", or the last value.
extension AnswerExtraction {
    /// Only the end of longer texts is searched, in bytes.
    private static let searchedByteCount = 1 << 13

    static func prose(_ text: String) -> AnswerReading {
        var text = text
        if text.utf8.count > searchedByteCount {
            text = text.withUTF8 { String(decoding: $0.suffix(searchedByteCount), as: UTF8.self) }
        }
        text = text.trimmed
        if let line = hashedLine(text) { return line }
        if let only = AnswerSentences.onlySpan(of: text) { return .certain(only) }
        if let place = afterPhrase(text) {
            return AnswerPhrase(AnswerSentences.first(of: place), endsAtReason: true).marked
        }
        return switch AnswerSentences.lastValue(of: text) {
        case .certain(let value): .certain(result(of: value))
        case .likely(let value): .likely(result(of: value))
        case let other: other
        }
    }

    /// The result of a computation that is written out: `42` of `6 * 7 = 42`.
    private static func result(of text: String) -> String {
        guard case .relation(let sides, ["="]) = AnswerParser.value(text, joinsThousands: true).value,
            sides[0].isConstant, !sides[0].isNumeral, sides[1].isNumeral, let sign = text.lastIndex(of: "=")
        else { return text }
        return String(text[text.index(after: sign)...]).trimmed
    }

    /// Whether the parser reads the whole text as mathematics.
    static func isMathematics(_ text: String) -> Bool {
        guard text.utf8.count <= MathGrader.maximumByteCount else { return false }
        if case .text = AnswerParser.value(text, joinsThousands: true).value { return false }
        return true
    }

    /// The text without the marks of Markdown for bold, italics, headings and code.
    static func withoutMarkup(_ text: String) -> String {
        guard text.utf8.contains(where: { "*_`#".utf8.contains($0) }) else { return text }
        var bare = text
        for mark in ["**", "__", "`"] { bare = bare.replacing(mark, with: "") }
        bare = String(bare.trimmed.drop { $0 == "#" || $0 == " " })
        for mark: Character in ["*", "_"] where bare.first == mark && bare.last == mark && bare.count > 2 {
            bare = String(bare.dropFirst().dropLast()).trimmed
        }
        return bare
    }

    /// The line after the last `####`; nil if it is a heading above more text.
    private static func hashedLine(_ text: String) -> AnswerReading? {
        guard let line = afterHashes(text)?.text else { return nil }
        let bare = withoutMarkup(line)
        if isMathematics(bare) { return .certain(bare) }
        guard text.hasSuffix(line) else { return nil }
        return afterPhrase(bare) == nil ? AnswerPhrase(bare, endsAtReason: true).marked : nil
    }

    /// The text after the last "answer is", "answers are", "answer:" or "answer =".
    private static func afterPhrase(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        func letter(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] | 0x20 : 0 }
        func skip(_ marks: String, from start: Int) -> Int {
            var index = start
            while index < bytes.count, bytes[index].isASCIISpace || marks.utf8.contains(bytes[index]) { index += 1 }
            return index
        }
        let word = Array("answer".utf8)
        var start = bytes.count - word.count
        while start >= 0 {
            defer { start -= 1 }
            guard letter(start) == word[0], word.indices.allSatisfy({ letter(start + $0) == word[$0] }) else {
                continue
            }
            var index = start + word.count
            if letter(index) == UInt8(ascii: "s") { index += 1 }
            index = skip("*_`", from: index)
            guard index < bytes.count else { continue }
            let marker = String(decoding: bytes[index..<min(bytes.count, index + 8)], as: UTF8.self).lowercased()
            guard let found = ["is:", "are:", "is ", "are ", ":", "=", "is\n", "is**"].first(where: marker.hasPrefix)
            else { continue }
            index = skip(":*_`", from: index + found.utf8.count)
            if index < bytes.count { return String(decoding: bytes[index...], as: UTF8.self) }
        }
        return nil
    }
}
