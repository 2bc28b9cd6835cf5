/// What an answer says, before anything in it has been worked out.
indirect enum AnswerValue: Hashable {
    case expression(MathExpression)
    /// A number with a percent sign.
    case percentage(MathExpression)
    /// A value with a unit in normalised form.
    case quantity(MathExpression, unit: String)
    /// Values in brackets: a point, a vector, an interval.
    case tuple(open: Character, [AnswerValue], close: Character)
    /// Values whose order says nothing: `1, 2`, `\{1, 2\}`, `1 \text{ or } 2`, `±1`.
    case list([AnswerValue])
    /// Sets of numbers joined by ∪.
    case union([AnswerValue])
    case matrix([[AnswerValue]])
    /// `a < b ≤ c`: expressions with the relations between them, "=", "<", "≤", ">", "≥", "≠" or "∈".
    case relation([AnswerValue], [Character])
    /// `3:5`
    case ratio([MathExpression])
    /// Digits in a base: `1011_2`.
    case based(digits: String, base: Int)
    /// Anything else, in normalised form.
    case text(String)

    /// A text as answers are compared: without case, white space and marks around it.
    static func plainText(_ text: String) -> AnswerValue {
        var bare = ""
        var isCommand = false
        for character in text {
            if character == "\\" {
                isCommand = true
                continue
            }
            // Commands around text (\text, \textbf, \mathrm) go, what they hold stays.
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
