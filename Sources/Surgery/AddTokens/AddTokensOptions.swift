/// Options of `AddTokens`.
public struct AddTokensOptions: Sendable {
    /// The control tokens of Thinkless, in the order in which they are added.
    public static let controlTokens = ["<think>", "</think>", "<short>"]

    /// Tokens that the result must have; existing ones are kept.
    public var tokens: [String] = controlTokens
    /// Reserved tokens to rename; they keep their id and row.
    public var renames: [(old: String, new: String)] = []
    /// How new rows are initialized.
    public var initialization: RowInitialization = .mean
    /// The seed of the noise.
    public var seed: UInt64 = 0
    /// Whether `mean` rows are rescaled to the median row norm.
    public var rescalesMean = true
    /// Whether to remove what the template's generation prompt puts after the assistant's header.
    public var fixesTemplate = false
    /// Whether to measure how far the answers move; this loads the model as float32 for a forward pass.
    public var measuresDivergence = true

    /// Creates options with the default values.
    public init() {}
}
