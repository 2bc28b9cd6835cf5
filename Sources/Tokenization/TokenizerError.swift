import OrderedJSON

/// Why a `tokenizer.json` cannot be read or edited; each description is one line.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// The text is not valid JSON; the reason names line and column.
    case notJSON(reason: String)
    /// A member is missing, has the wrong type or contradicts another; `place` is a path such as `model.vocab`.
    case malformed(place: String, reason: String)
    /// A member that affects ids is not supported.
    case unsupported(place: String, what: String)
    /// An edit is not possible in this file.
    case refusedEdit(reason: String)

    /// The error in one line, with the place in the file.
    public var description: String {
        switch self {
        case .notJSON(let reason): "tokenizer.json is not valid JSON: \(reason.onOneLine())"
        case .malformed(let place, let reason): "tokenizer.json, \(place.onOneLine()): \(reason.onOneLine())"
        case .unsupported(let place, let what):
            "tokenizer.json, \(place.onOneLine()): \(what.onOneLine()) is not supported; "
                + "docs/tokenization.md lists what is"
        case .refusedEdit(let reason): "tokenizer.json cannot be changed: \(reason.onOneLine())"
        }
    }
}
