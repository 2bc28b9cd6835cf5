/// A token of an answer in LaTeX or plain text.
enum AnswerToken: Hashable {
    /// Digits, with a decimal point and a repeating part in brackets if there are any: `0.1(6)`.
    case number(String)
    case letter(String)
    /// A command without its backslash: `frac`, `pi`.
    case command(String)
    /// A word: `\text{…}`, or letters that are not a product of variables.
    case word(String)
    case symbol(Unicode.Scalar)
}

/// The names of LaTeX commands and of characters that stand for them.
enum AnswerVocabulary {
    /// Functions that are recognised without a backslash too.
    static let functions: Set<String> = [
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log",
        "exp", "sqrt",
    ]

    static let greek: Set<String> = [
        "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
        "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma",
        "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega", "ell", "angle", "triangle", "complement",
    ]

    /// Commands for size, weight and spacing, which change no value.
    static let ignored: Set<String> = [
        "left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr",
        "Biggl", "Biggr", "bigm", "Bigm", "displaystyle", "textstyle", "scriptstyle", "scriptscriptstyle", "limits",
        "nolimits", "quad", "qquad", "enspace", "thinspace", "tiny", "small", "normalsize", "large", "Large", "LARGE",
        "huge", "Huge", "bf", "rm", "it", "sf", "tt", "bfseries", "boldsymbol", "bm", "pmb", "mathbf", "mathrm",
        "mathit", "mathbb", "Bbb", "mathcal", "mathsf", "mathtt", "mathnormal", "vec", "overline", "boxed", "fbox",
        "strut", "mathstrut", "measuredangle", "nonumber", "notag", "mathop", "mathrel", "mathbin", "mathord",
    ]

    /// Ignored commands with an argument that is not part of the answer.
    static let ignoredWithArgument: Set<String> = [
        "hspace", "vspace", "phantom", "hphantom", "vphantom", "color", "textcolor", "label", "tag",
    ]

    static let textCommands: Set<String> = [
        "text", "mbox", "textbf", "textrm", "textit", "textnormal", "hbox", "operatorname", "textsf", "texttt",
        "textsc",
        "textup", "emph", "underline",
    ]

    static let aliases: [String: String] = [
        "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "leqq": "le", "geq": "ge",
        "geqslant": "ge", "geqq": "ge", "neq": "ne", "lbrace": "{", "rbrace": "}", "dbinom": "binom",
        "tbinom": "binom", "lt": "<", "gt": ">", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
        "colon": ":", "mid": "|", "vert": "|", "lvert": "|", "rvert": "|", "varnothing": "emptyset", "circ": "degree",
        "degree": "degree", "smallsetminus": "setminus", "backslash": "setminus", "simeq": "approx", "doteq": "approx",
        "thickapprox": "approx", "ast": "*", "star": "*", "bullet": "cdot", "bigcup": "cup", "bigcap": "cap",
        "lor": "vee", "land": "wedge", "prime": "'", "percent": "%", "atop": "over",
    ]

    /// Commands that characters outside ASCII stand for.
    static let characters: [Unicode.Scalar: String] = [
        "π": "pi", "∞": "infty", "√": "sqrt", "∪": "cup", "∩": "cap", "≤": "le", "≥": "ge", "≠": "ne", "°": "degree",
        "∘": "degree", "º": "degree", "×": "times", "✕": "times", "⨯": "times", "·": "cdot", "⋅": "cdot", "∙": "cdot",
        "•": "cdot", "÷": "div", "±": "pm",
        "∓": "mp", "∈": "in", "⟨": "langle", "⟩": "rangle", "〈": "langle", "〉": "rangle", "≈": "approx", "≃": "approx",
        "∅": "emptyset", "∖": "setminus", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil", "∨": "vee",
        "∧": "wedge", "⩽": "le", "⩾": "ge",
    ]

    /// Characters that look like ASCII.
    static let lookalikes: [Unicode.Scalar: Unicode.Scalar] = [
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "﹣": "-", "⁄": "/", "∕": "/", "∗": "*", "∣": "|",
        "ǀ": "|", "∶": ":", "′": "'", "’": "'", "٪": "%", "﹪": "%", "，": ",", "；": ";", "：": ":", "（": "(", "）": ")",
        "℃": "C",
    ]

    static let superscripts: [Unicode.Scalar: Unicode.Scalar] = [
        "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9", "⁻": "-",
        "⁺": "+",
        "ⁿ": "n",
    ]

    static let fractions: [Unicode.Scalar: (top: String, bottom: String)] = [
        "½": ("1", "2"), "⅓": ("1", "3"), "⅔": ("2", "3"), "¼": ("1", "4"), "¾": ("3", "4"), "⅕": ("1", "5"),
        "⅖": ("2", "5"), "⅗": ("3", "5"), "⅘": ("4", "5"), "⅙": ("1", "6"), "⅚": ("5", "6"), "⅛": ("1", "8"),
        "⅜": ("3", "8"), "⅝": ("5", "8"), "⅞": ("7", "8"),
    ]

    private static let greekCharacters: [Unicode.Scalar: String] = {
        let names = [
            "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
            "xi", "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
        ]
        var result: [Unicode.Scalar: String] = [:]
        for (scalar, name) in zip(UInt32(0x3B1)...0x3C9, names) { result[Unicode.Scalar(scalar) ?? "α"] = name }
        for name in greek where name.first?.isUppercase ?? false {
            guard let index = names.firstIndex(of: name.lowercased()),
                let scalar = Unicode.Scalar(0x391 + UInt32(index))
            else { continue }
            result[scalar] = name
        }
        result["ϕ"] = "phi"
        result["ϑ"] = "vartheta"
        result["ℓ"] = "ell"
        result["∠"] = "angle"
        result["△"] = "triangle"
        result["ℝ"] = "R"
        result["ℤ"] = "Z"
        result["ℕ"] = "N"
        result["ℚ"] = "Q"
        result["ℂ"] = "C"
        return result
    }()

    /// The name of the letter that a character outside ASCII is.
    static func letter(_ scalar: Unicode.Scalar) -> String? {
        greekCharacters[scalar] ?? (scalar.properties.isAlphabetic ? String(Character(scalar)) : nil)
    }
}
