/// A token of an answer in LaTeX or plain text.
enum AnswerToken: Hashable {
    case number(String)
    case letter(String)
    /// A command without its backslash: `frac`, `pi`.
    case command(String)
    /// A word: `\text{…}`, or letters that are not a product of variables.
    case word(String)
    case symbol(Character)
}

/// Splits an answer into tokens without white space, dollar signs, and commands for size or spacing.
struct AnswerLexer {
    struct Lexeme: Hashable {
        var token: AnswerToken
        var followsSpace: Bool
    }

    /// Whether some comma may be a thousands separator or may separate items.
    private(set) var hasAmbiguousCommas = false
    private(set) var lexemes: [Lexeme] = []

    private let characters: [Character]
    private var position = 0
    private var bracketDepth = 0
    private let joinsThousands: Bool

    /// - Parameters:
    ///   - text: the answer.
    ///   - joinsThousands: reads `1,234` as one number instead of two.
    init(_ text: String, joinsThousands: Bool) {
        characters = Array(text)
        self.joinsThousands = joinsThousands
        var sawSpace = false
        while position < characters.count {
            if skipBlank() {
                sawSpace = true
                continue
            }
            for token in next() {
                lexemes.append(Lexeme(token: token, followsSpace: sawSpace))
                sawSpace = false
            }
        }
    }

    /// Functions that are recognised without a backslash too.
    static let functionNames: Set<String> = [
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log",
        "exp", "sqrt",
    ]

    private static let greek: Set<String> = [
        "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
        "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma",
        "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega", "ell",
    ]

    private static let ignoredCommands: Set<String> = [
        "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle",
        "limits", "quad", "qquad", "hspace", "phantom", "bf", "rm", "it", "boldsymbol", "mathbf", "mathrm", "mathit",
        "mathbb", "mathcal", "mathsf", "vec", "overline",
    ]

    static let textCommands: Set<String> = [
        "text", "mbox", "textbf", "textrm", "textit", "textnormal", "hbox", "operatorname", "textsf", "texttt",
    ]

    private static let characterCommands: [Character: String] = [
        "π": "pi", "∞": "infty", "√": "sqrt", "∪": "cup", "∩": "cap", "≤": "le", "≥": "ge", "≠": "ne", "°": "degree",
        "×": "times", "·": "cdot", "÷": "div", "±": "pm", "∈": "in", "⟨": "langle", "⟩": "rangle", "∓": "mp",
    ]

    private static let commandAliases: [String: String] = [
        "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge",
        "neq": "ne", "circ": "degree", "infin": "infty", "ast": "cdot", "bullet": "cdot", "lbrack": "[", "rbrack": "]",
        "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "lbrace": "{", "rbrace": "}", "dbinom": "binom",
        "tbinom": "binom", "lt": "<", "gt": ">", "log10": "log",
    ]

    private func character(at offset: Int) -> Character? {
        position + offset < characters.count ? characters[position + offset] : nil
    }

    private mutating func skipBlank() -> Bool {
        guard let current = character(at: 0) else { return false }
        if current.isWhitespace || current == "~" || current == "$" || current == "\u{200B}" {
            position += 1
            return true
        }
        if current == "\\", let next = character(at: 1), ",;:! $".contains(next) {
            position += 2
            return true
        }
        return false
    }

    private mutating func next() -> [AnswerToken] {
        let current = characters[position]
        if current.isASCII, current.isNumber { return [number()] }
        if current == ".", let next = character(at: 1), next.isASCII, next.isNumber { return [number()] }
        if current.isLetter, current.isASCII { return letters() }
        if current == "\\" { return command() }
        position += 1
        if let name = Self.characterCommands[current] { return [.command(name)] }
        switch current {
        case "−", "–", "—": return [.symbol("-")]
        case "²", "³": return [.symbol("^"), .number(current == "²" ? "2" : "3")]
        case "(", "[":
            bracketDepth += 1
            return [.symbol(current)]
        case ")", "]":
            bracketDepth -= 1
            return [.symbol(current)]
        default: return current.isLetter ? [.letter(String(current))] : [.symbol(current)]
        }
    }

    private mutating func number() -> AnswerToken {
        var digits = ""
        var hasPoint = false
        var firstGroupLength: Int?
        while let current = character(at: 0) {
            if current.isASCII, current.isNumber {
                digits.append(current)
                position += 1
            } else if current == ".", !hasPoint, character(at: 1).map({ $0.isASCII && $0.isNumber }) ?? false {
                hasPoint = true
                digits.append(current)
                position += 1
            } else if !hasPoint, (firstGroupLength ?? digits.count) <= 3,
                let length = thousandsSeparator(after: digits)
            {
                firstGroupLength = firstGroupLength ?? digits.count
                position += length
            } else {
                break
            }
        }
        return .number(digits)
    }

    /// The length of a thousands separator before exactly three digits: `,\!`, `{,}`, or `,` if `joinsThousands`.
    private mutating func thousandsSeparator(after digits: String) -> Int? {
        let isCertain: Bool
        let length: Int
        if character(at: 0) == ",", character(at: 1) == "\\", character(at: 2) == "!" {
            (isCertain, length) = (true, 3)
        } else if character(at: 0) == "{", character(at: 1) == ",", character(at: 2) == "}" {
            (isCertain, length) = (true, 3)
        } else if character(at: 0) == "," {
            (isCertain, length) = (false, 1)
        } else {
            return nil
        }
        let group = (0..<4).map { character(at: length + $0) }.map { $0.map { $0.isASCII && $0.isNumber } ?? false }
        guard group == [true, true, true, false], digits.first != "0" || isCertain else { return nil }
        if isCertain { return length }
        hasAmbiguousCommas = true
        return joinsThousands && bracketDepth == 0 ? length : nil
    }

    private mutating func letters() -> [AnswerToken] {
        let start = position
        while let current = character(at: 0), current.isLetter, current.isASCII { position += 1 }
        let run = String(characters[start..<position])
        if Self.functionNames.contains(run.lowercased()) { return [.command(run.lowercased())] }
        switch run.lowercased() {
        case "pi": return [.command("pi")]
        case "infinity", "inf", "oo": return [.command("infty")]
        default: break
        }
        if run == "or" { return [.word(run)] }
        // Three or more letters are a word, unless a number precedes them directly; fewer are a product of variables.
        let followsNumber = lexemes.last.map { Self.isNumber($0.token) } ?? false
        let isApart = start == 0 || !characters[start - 1].isNumber
        if run.count >= 3 && isApart || followsNumber && Units.abbreviations.contains(run) { return [.word(run)] }
        return run.map { .letter(String($0)) }
    }

    private static func isNumber(_ token: AnswerToken) -> Bool {
        if case .number = token { true } else { false }
    }

    private mutating func command() -> [AnswerToken] {
        position += 1
        guard let first = character(at: 0) else { return [] }
        guard first.isLetter, first.isASCII else {
            position += 1
            switch first {
            case "\\": return [.command("newline")]
            case "{": return [.command("{")]
            case "}": return [.command("}")]
            case "|": return [.symbol("|")]
            default: return [.symbol(first)]
            }
        }
        let start = position
        while let current = character(at: 0), current.isLetter, current.isASCII { position += 1 }
        let name = String(characters[start..<position])
        if name == "mathrm" || name == "mathbf" {
            let before = position
            let text = bracedText()
            if text.count > 1, text.allSatisfy({ $0.isLetter || $0 == " " }) { return [.word(text)] }
            position = before
        }
        if Self.ignoredCommands.contains(name) {
            // \left. and \right. are invisible brackets.
            if name == "left" || name == "right", character(at: 0) == "." { position += 1 }
            return []
        }
        if Self.textCommands.contains(name) { return [.word(bracedText())] }
        if name == "begin" || name == "end" { return [.command(name), .word(bracedText())] }
        if Self.greek.contains(name) { return [.letter(name)] }
        guard let alias = Self.commandAliases[name] else { return [.command(name)] }
        if alias.count == 1, let symbol = alias.first, !symbol.isLetter {
            return symbol == "{" || symbol == "}" ? [.command(alias)] : [.symbol(symbol)]
        }
        return [.command(alias)]
    }

    /// The content of the braces that follow; empty if there are none.
    private mutating func bracedText() -> String {
        while character(at: 0) == " " { position += 1 }
        guard character(at: 0) == "{" else { return "" }
        let start = position + 1
        var depth = 0
        while let current = character(at: 0) {
            if current == "{" { depth += 1 }
            if current == "}" { depth -= 1 }
            position += 1
            if depth == 0 { return String(characters[start..<position - 1]) }
        }
        return String(characters[min(start, characters.count)...])
    }
}
