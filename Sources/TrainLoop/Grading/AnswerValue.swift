/// A parsed answer, before evaluation.
indirect enum AnswerValue: Hashable {
    case expression(MathExpression)
    /// A number with a percent sign.
    case percentage(MathExpression)
    /// A value with a normalised unit.
    case quantity(MathExpression, unit: String)
    /// Values in brackets: a point, a vector, an interval.
    case tuple(open: Character, [AnswerValue], close: Character)
    /// Unordered values: `1, 2`, `\{1, 2\}`, `1 \text{ or } 2`, `±1`.
    case list([AnswerValue])
    /// Sets of numbers, or conditions on a number, joined by ∪ or "or".
    case union([AnswerValue])
    /// Sets of numbers, or conditions on a number, joined by ∩ or "and".
    case intersection([AnswerValue])
    /// The first set without the second.
    case difference(AnswerValue, AnswerValue)
    case matrix([[AnswerValue]])
    /// `a < b ≤ c`: values and the relations between them, each one of "=", "≈", "<", "≤", ">", "≥", "≠" and "∈".
    case relation([AnswerValue], [Character])
    /// `3:5`
    case ratio([MathExpression])
    /// Digits in a base: `1011_2`.
    case based(digits: String, base: Int)
    /// Any other text, normalised.
    case text(String)

    /// A text normalised for comparison: without case, white space and surrounding marks.
    static func plainText(_ text: String) -> AnswerValue {
        var bare = ""
        var isCommand = false
        for character in text.withoutSizes {
            if character == "\\" {
                isCommand = true
                continue
            }
            // Commands around text (\text, \textbf, \mathrm) are removed, their content stays.
            if isCommand, character == "{" {
                for command in ["textbf", "textrm", "textit", "text", "mbox", "mathrm", "mathbf"]
                where bare.hasSuffix(command) {
                    bare.removeLast(command.count)
                    break
                }
            }
            if !character.isLetter { isCommand = false }
            if character.isLetter || character.isNumber || "+-*/=<>^_,.:%'".contains(character) {
                bare.append(character)
            }
        }
        let items = bare.split(separator: ",").map { item -> String in
            let item = item.last == "." ? item.dropLast() : item
            // One letter may be a variable, and then its case matters.
            return item.count > 1 ? item.lowercased() : String(item)
        }
        return .text(items.sorted().joined(separator: ","))
    }
}

extension String {
    /// The text without the commands for size that may stand before words.
    fileprivate var withoutSizes: String {
        guard utf8.contains(UInt8(ascii: "\\")) else { return self }
        return ["displaystyle", "textstyle", "left", "right", "Large", "large"].reduce(self) {
            $0.replacing("\\" + $1, with: "")
        }
    }
}
