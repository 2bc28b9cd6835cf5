import OrderedJSON

/// Why a `tokenizer.json` cannot be used or changed. Each text is one line and names the place.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// The text is not JSON; the reason says where.
    case notJSON(reason: String)
    /// A member is missing, of the wrong kind or contradicts another. `place` is a path such as `model.vocab`.
    case malformed(place: String, reason: String)
    /// A part that would change the ids and that this program does not implement.
    case unsupported(place: String, what: String)
    /// An edit that the file does not allow.
    case refusedEdit(reason: String)

    public var description: String {
        switch self {
        case .notJSON(let reason): "tokenizer.json is not JSON: \(reason.onOneLine())"
        case .malformed(let place, let reason): "tokenizer.json, \(place.onOneLine()): \(reason.onOneLine())"
        case .unsupported(let place, let what):
            "tokenizer.json, \(place.onOneLine()): \(what.onOneLine()) is not supported; only byte-level BPE tokenizers and their parts are"
        case .refusedEdit(let reason): "tokenizer.json cannot be changed: \(reason.onOneLine())"
        }
    }
}
