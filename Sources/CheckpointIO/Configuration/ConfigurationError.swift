import OrderedJSON

/// The reason why a config.json is refused, or why tokens do not fit a model.
public enum ConfigurationError: Error, Equatable, CustomStringConvertible {
    case invalidJSON(String)
    case missing(field: String)
    case wrongKind(field: String, expected: String, found: String)
    case outOfRange(field: String, value: String, allowed: String)
    case unsupportedModelType(String)
    /// A field that the family's class in transformers reads, with a value that is not implemented.
    case unsupportedField(String, value: String, reader: String)
    case inconsistent(String)
    case tokenOutsideVocabulary(Int, size: Int)

    public var description: String {
        switch self {
        case .invalidJSON(let reason): "config.json is not valid JSON: \(reason.onOneLine())"
        case .missing(let field): "config.json has no \"\(field)\", which this architecture needs"
        case .wrongKind(let field, let expected, let found):
            "config.json: \"\(field)\" should be \(expected) but is \(found)"
        case .outOfRange(let field, let value, let allowed):
            "config.json: \"\(field)\" is \(value.onOneLine()); it must be \(allowed)"
        case .unsupportedModelType(let type):
            "config.json: model_type \"\(type.onOneLine(limit: 80))\" is not supported; supported are "
                + ModelConfiguration.Family.names
        case .unsupportedField(let field, let value, let reader):
            "config.json: \"\(field.onOneLine(limit: 80))\" = \(value.onOneLine(limit: 200)) is read by \(reader) and"
                + " not supported; if the model was trained without it, correct it with ckpt config"
        case .inconsistent(let reason): "config.json: \(reason.onOneLine())"
        case .tokenOutsideVocabulary(let token, let size):
            "token id \(token) is outside the model's vocabulary of \(size); model and tokenizer do not belong together"
        }
    }
}
