/// How the rows of new tokens are initialized.
public enum RowInitialization: Sendable, Equatable {
    /// The mean row of the vocabulary, rescaled to its median row norm, plus a little noise.
    case mean
    /// The row of the given token plus a little noise.
    case copy(String)
    /// `<think>` and `<short>` like `copy`, from the token that the model most likely starts an answer with; others
    /// like `mean`.
    ///
    /// Such a row is as likely at the start of an answer, where `</think>` must not stand.
    case automatic
    /// Normally distributed with the model's own standard deviation (`initializer_range`, else 0.02).
    case normal

    /// Whether the row of a token is a copy of another.
    func copies(_ token: String) -> Bool {
        switch self {
        case .mean, .normal: false
        case .copy: true
        case .automatic: ["<think>", "<short>"].contains(token)
        }
    }

    /// Parses `mean`, `copy=TOKEN`, `auto` or `normal`.
    public init?(argument: String) {
        switch argument {
        case "mean": self = .mean
        case "auto": self = .automatic
        case "normal": self = .normal
        default:
            guard argument.hasPrefix("copy="), argument.count > 5 else { return nil }
            self = .copy(String(argument.dropFirst(5)))
        }
    }

    /// The argument that parses to this value.
    public var argument: String {
        switch self {
        case .mean: "mean"
        case .copy(let token): "copy=" + token
        case .automatic: "auto"
        case .normal: "normal"
        }
    }
}
