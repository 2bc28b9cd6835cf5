/// A word, a number, mathematics or an operator in a sentence.
struct PhrasePiece {
    enum Kind {
        /// A number, LaTeX, or what stands in dollar signs.
        case value
        /// One or two letters, which may be variables.
        case letters
        case operation
        case word
    }

    let kind: Kind
    let text: String
    /// Whether punctuation follows.
    let endsClause: Bool

    private static let operations: Set<Character> = [
        "+", "-", "−", "–", "—", "*", "/", "=", "<", ">", "≤", "≥", "≈", "×", "·", "÷", "±", "^", ":",
    ]
    private static let quotes: Set<Character> = ["\"", "'", "“", "”", "‘", "’", "*", "_", "`"]
    private static let verbs: Set<String> = [
        "is", "are", "be", "was", "were", "equals", "equal", "=", "gives", "get", "becomes",
    ]
    private static let labels: Set<String> = [
        "step", "case", "figure", "equation", "part", "problem", "question", "chapter", "page", "row", "column", "line",
        "option", "section", "example", "method", "table", "theorem", "lemma",
    ]
    private static let fillers: Set<String> = [
        "approximately", "about", "just", "simply", "therefore", "thus", "then", "indeed", "exactly", "equal", "to",
        "the", "a", "option", "choice", "number", "only", "clearly", "hence", "so", "obviously", "is", "be", "now",
        "indeed",
        "roughly", "around",
    ]
    private static let negations: Set<String> = [
        "not", "isn't", "isn’t", "cannot", "never", "unknown", "neither", "impossible",
    ]
    private static let reasons: Set<String> = ["because", "since", "which", "where", "as", "so"]
    private static let factors = [
        "hundred": "hundred", "thousand": "thousand", "million": "million", "billion": "billion",
        "trillion": "trillion", "percent": #"\%"#, "pct": #"\%"#, "%": #"\%"#, "dozen": "dozen",
    ]

    private var word: String { text.lowercased() }
    var isVerb: Bool { Self.verbs.contains(word) }
    var isLabel: Bool { Self.labels.contains(word) }
    var isFiller: Bool { Self.fillers.contains(word) }
    var isNegation: Bool { kind == .word && Self.negations.contains(word) }
    var startsReason: Bool { kind == .word && Self.reasons.contains(word) }
    /// How a word that multiplies the number before it is written in a value.
    var factor: String? { kind == .word ? Self.factors[word] : nil }
    var startsWithOperation: Bool { text.first.map(Self.operations.contains) ?? false }

    /// Whether the text is `1/2`.
    var isFraction: Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }
    }

    // MARK: Splitting

    /// The pieces of a sentence.
    static func pieces(of text: String) -> [PhrasePiece] {
        let characters = Array(text)
        var missing: Set<Character> = []
        var pieces: [PhrasePiece] = []
        var token = ""
        var hasMathematics = false
        var braces = 0
        var index = 0
        func endToken() {
            if let piece = PhrasePiece(token, isMathematics: hasMathematics) { pieces.append(piece) }
            token = ""
            hasMathematics = false
            braces = 0
        }
        while index < characters.count {
            let current = characters[index]
            if let end = MathSpan.end(characters, at: index, missing: &missing) {
                token += MathSpan.content(characters[index..<end])
                hasMathematics = true
                index = end
                continue
            }
            if current.isWhitespace, braces == 0 {
                endToken()
            } else if current == "(" || current == "[", let end = bracketed(characters, from: index) {
                token += String(characters[index..<end])
                index = end
                continue
            } else {
                if current == "{" { braces += 1 }
                if current == "}" { braces = max(0, braces - 1) }
                token.append(current)
            }
            index += 1
        }
        endToken()
        return pieces
    }

    /// The index after a bracket that holds only numbers, variables, operators and commas: `(3, 4)`.
    private static func bracketed(_ characters: [Character], from start: Int) -> Int? {
        var depth = 0
        var letters = 0
        for index in start..<min(characters.count, start + 60) {
            let current = characters[index]
            letters = current.isLetter ? letters + 1 : 0
            if letters > 2 { return nil }
            switch current {
            case "(", "[":
                depth += 1
                if depth > 3 { return nil }
            case ")", "]":
                depth -= 1
                if depth == 0 { return index + 1 }
            case _ where current.isLetter || current.isNumber || current == " " || current == "," || current == ".":
                break
            case _ where operations.contains(current) || current == "∞" || current == "√" || current == "|": break
            default: return nil
            }
        }
        return nil
    }

    private init?(_ token: String, isMathematics: Bool) {
        var text = Substring(token)
        while let first = text.first, Self.quotes.contains(first), text.count > 1 { text.removeFirst() }
        var endsClause = false
        while let last = text.last, Self.quotes.contains(last) || ",;:!?.".contains(last), text.count > 1 {
            endsClause = endsClause || ",;:!?".contains(last)
            text.removeLast()
        }
        // A bracket that only one side of the token has belongs to the sentence.
        if text.first == "(", !text.contains(")") { text.removeFirst() }
        if text.last == ")", !text.contains("("), !text.contains("[") { text.removeLast() }
        guard !text.isEmpty, text != "$" else { return nil }
        self.endsClause = endsClause
        (kind, self.text) = Self.classified(text, isMathematics)
    }

    /// The words in `\text{…}`; nil for other tokens and for numbers.
    private static func textCommand(_ text: Substring) -> String? {
        guard let open = text.firstIndex(of: "{"), text.last == "}",
            AnswerVocabulary.textCommands.contains(String(text[..<open].dropFirst()))
        else { return nil }
        let words = text[text.index(after: open)...].dropLast()
        return words.allSatisfy { $0.isLetter || $0 == " " } ? String(words).trimmed : nil
    }

    private static func classified(_ text: Substring, _ isMathematics: Bool) -> (Kind, String) {
        if text.allSatisfy(operations.contains) { return (.operation, String(text)) }
        let letters = text.prefix(while: \.isLetter)
        if letters.count == text.count, !"π".contains(text) {
            let isVariable =
                text.count == 1 ? text != "a" && text != "I" : text.count == 2 && text.allSatisfy(\.isUppercase)
            return (isMathematics || isVariable ? .letters : .word, String(text))
        }
        if let words = Self.textCommand(text) { return (.word, words) }
        if isMathematics { return (.value, String(text)) }
        if text.first == "\\" || text.dropFirst().contains("\\") { return (.value, String(text)) }
        guard text.contains(where: { $0.isASCII && $0.isNumber }) else {
            return (text.contains(where: { "^=√π∞".contains($0) }) ? .value : .word, String(text))
        }
        // Letters before a digit name something: "GPT4".
        if letters.count > 2, !text.contains("="), !AnswerVocabulary.functions.contains(letters.lowercased()) {
            return (.word, String(text))
        }
        // "5th" and "5apples"
        let end = text.lastIndex { !$0.isLetter }
        let suffix = end.map { text[text.index(after: $0)...] } ?? ""
        let number = text.dropLast(suffix.count)
        if let last = number.last, last.isNumber, letters.isEmpty {
            if ["st", "nd", "rd", "th"].contains(suffix) { return (.value, String(number)) }
            if suffix.count > 2 { return (.value, number + " " + suffix) }
        }
        return (.value, String(text))
    }
}
