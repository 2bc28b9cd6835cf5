/// Where the values of a new embedding row come from.
public enum RowInitialization: Sendable, Equatable {
    /// The mean row of the vocabulary, rescaled to its median row norm, plus a little noise.
    case mean
    /// The row of that token plus a little noise.
    case copy(String)
    /// As `copy`, from the token the model itself most likely begins an answer with.
    case automatic
    /// Normal, with the standard deviation the model was initialised with (`initializer_range`, else 0.02).
    case normal

    /// Reads `mean`, `copy=TOKEN`, `auto` or `normal`.
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

    /// The argument that reads back as this value.
    public var argument: String {
        switch self {
        case .mean: "mean"
        case .copy(let token): "copy=" + token
        case .automatic: "auto"
        case .normal: "normal"
        }
    }
}

/// What `AddTokens` is asked to do.
public struct AddTokensOptions: Sendable {
    /// The control tokens of the method, in the order in which they are added.
    public static let controlTokens = ["<think>", "</think>", "<short>"]

    /// Tokens to have afterwards; the ones already there are used as they are.
    public var tokens: [String] = controlTokens
    /// Reserved tokens that get a new name and keep their id and row: old content to new content.
    public var renames: [(old: String, new: String)] = []
    public var initialization: RowInitialization = .mean
    /// Seed of the noise.
    public var seed: UInt64 = 0
    /// Whether `mean` rows are rescaled to the median row norm.
    public var rescalesMean = true
    /// Whether a `<think>` at the end of the template's generation prompt is taken out.
    public var fixesTemplate = false
    /// Whether a forward pass over probe texts measures how far the answers moved; it loads the model as float32.
    public var measuresDivergence = true
    /// Name and version of the program, for `created_by` and the lineage.
    public var tool = "ckpt"

    public init() {}
}
