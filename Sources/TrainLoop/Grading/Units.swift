/// Units of measure after a number.
enum Units {
    /// Letters that are a unit after a number, not a product of variables.
    static let abbreviations: Set<String> = [
        "cm", "mm", "km", "kg", "mg", "ft", "in", "mi", "yd", "lb", "oz", "hr", "ml", "mL", "am", "pm", "mph", "sq",
    ]

    private static let spelledOut: [String: String] = [
        "cm": "centimeter", "mm": "millimeter", "km": "kilometer", "m": "meter", "kg": "kilogram", "g": "gram",
        "ft": "foot", "feet": "foot", "in": "inch", "inches": "inch", "mi": "mile", "yd": "yard", "lb": "pound",
        "lbs": "pound", "oz": "ounce", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute",
        "sec": "second", "secs": "second", "s": "second", "h": "hour", "sq": "square", "squared": "square",
        "cubed": "cubic", "cu": "cubic", "ml": "milliliter", "l": "liter", "metre": "meter", "metres": "meter",
        "mph": "mile hour", "deg": "degree", "people": "person", "men": "man", "women": "woman",
        "children": "child",
    ]

    private static let known = Set(spelledOut.keys).union(spelledOut.values).union([
        "day", "week", "month", "year", "cent",
    ])

    /// Whether a word is a unit of length, time, weight, volume or money.
    static func isKnown(_ word: String) -> Bool { known.contains(normalized(word)) }

    /// A unit in lower case, singular, with abbreviations spelled out.
    ///
    /// Unknown units stay unchanged, so they equal only themselves.
    static func normalized(_ text: String) -> String {
        let words = text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
        let ignored: Set<String> = ["per", "of", "the", "a", "an", "in", "each", "total", "about"]
        let whole = words.count == 1
        return words.compactMap { word -> String? in
            if let known = spelledOut[word] { return known }
            if !whole, ignored.contains(word) { return nil }
            if word.hasSuffix("ies"), word.count > 4 { return String(word.dropLast(3)) + "y" }
            if word.hasSuffix("s"), !word.hasSuffix("ss"), word.count > 3 { return String(word.dropLast()) }
            return word
        }.sorted().joined(separator: " ")
    }
}

extension MathExpression {
    /// `5m²` and `5m³` as a number and a unit, since nobody knows whether m is a variable; nil for others.
    var metric: (number: MathExpression, unit: String)? {
        guard case .product(let factors) = self, factors.count == 2, factors[0].numeral != nil,
            case .power(.variable("m"), .number(let exponent)) = factors[1],
            exponent == Rational(2) || exponent == Rational(3)
        else { return nil }
        return (factors[0], Units.normalized("m \(exponent)"))
    }
}
