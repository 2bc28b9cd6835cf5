/// Splits prose into sentences; what stands in dollar signs, `\(…\)` or `\[…\]` stays whole.
enum AnswerSentences {
    /// The text up to the end of the first sentence or line.
    static func first(of text: String) -> String {
        var sentences = Splitter(Array(text))
        return sentences.next() ?? ""
    }

    /// The last value of the last sentence that has one.
    static func lastValue(of text: String) -> AnswerReading {
        var splitter = Splitter(Array(text))
        var sentences: [String] = []
        while let sentence = splitter.next() { sentences.append(sentence) }
        for (index, sentence) in sentences.enumerated().reversed() {
            let reading = AnswerPhrase(AnswerExtraction.withoutMarkup(sentence)).unmarked
            if case .none = reading { continue }
            // A value that other text follows may be part of the working.
            if case .certain(let value) = reading, index < sentences.count - 1 { return .likely(value) }
            return reading
        }
        return .none
    }

    private struct Splitter {
        private let characters: [Character]
        private var position = 0
        /// Closing delimiters that do not occur any more.
        private var missing: Set<Character> = []

        init(_ characters: [Character]) { self.characters = characters }

        private func character(_ index: Int) -> Character? { index < characters.count ? characters[index] : nil }

        /// The next sentence, without its full stop; nil at the end.
        mutating func next() -> String? {
            while let current = character(position), current.isWhitespace { position += 1 }
            guard position < characters.count else { return nil }
            let start = position
            while let current = character(position) {
                if let end = MathSpan.end(characters, at: position, missing: &missing) {
                    position = end
                    continue
                }
                position += 1
                guard isEnd(current) else { continue }
                return String(characters[start..<position - 1])
            }
            return String(characters[start...])
        }

        /// Whether a character that was just passed ends a sentence.
        private func isEnd(_ current: Character) -> Bool {
            if current.isNewline { return true }
            guard ".!?。".contains(current) else { return false }
            guard let next = character(position) else { return true }
            return next.isWhitespace || "*_`\"')”".contains(next) || current == "。"
        }
    }
}

/// Mathematics in delimiters inside prose.
enum MathSpan {
    /// The index after the span that starts at `start`; nil if none does.
    ///
    /// A dollar sign opens mathematics as in Pandoc: no space after it, none before the closing one, no digit after that.
    static func end(_ characters: [Character], at start: Int, missing: inout Set<Character>) -> Int? {
        func character(_ index: Int) -> Character? { index < characters.count ? characters[index] : nil }
        let current = characters[start]
        if current == "\\", let bracket = character(start + 1) {
            guard bracket == "(" || bracket == "[" else { return nil }
            let closing: Character = bracket == "(" ? ")" : "]"
            guard !missing.contains(closing) else { return nil }
            var index = start + 2
            while index + 1 < characters.count {
                if characters[index] == "\\" {
                    if characters[index + 1] == closing { return index + 2 }
                    index += 1
                }
                index += 1
            }
            missing.insert(closing)
            return nil
        }
        guard current == "$", start == 0 || characters[start - 1] != "\\" else { return nil }
        let isDisplay = character(start + 1) == "$"
        var index = start + (isDisplay ? 2 : 1)
        if !isDisplay, character(index)?.isWhitespace ?? true {
            // "$ 5 $" is read too, if the line goes on to a second sign that a space precedes.
            guard character(index) == " " else { return nil }
        }
        let opensWithSpace = character(index) == " "
        while let next = character(index) {
            if next == "\\" {
                index += 2
                continue
            }
            if next == "$" {
                if isDisplay { return character(index + 1) == "$" ? index + 2 : nil }
                guard (characters[index - 1] == " ") == opensWithSpace else { return nil }
                return character(index + 1)?.isNumber ?? false ? nil : index + 1
            }
            if !isDisplay, next.isNewline { return nil }
            index += 1
        }
        return nil
    }

    /// The content of a span without its delimiters.
    static func content(_ span: ArraySlice<Character>) -> String {
        let length = span.starts(with: "$$") || span.first == "\\" ? 2 : 1
        return String(span.dropFirst(length).dropLast(length)).trimmed
    }
}
