import CheckpointIO

/// The number format in memory of the weights of a model that is not trained.
///
/// `ProductPrecision` is the format they are multiplied in.
public enum WeightPrecision: String, Sendable, CaseIterable {
    /// All parameters in float32.
    case fp32
    /// Matrices rounded to bfloat16, for half the memory.
    case bf16

    package var bytesPerParameter: Int { self == .bf16 ? 2 : 4 }

    /// Loads a model from a checkpoint; a model in bf16 cannot compute gradients.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    public func model(_ file: CheckpointFile, products: ProductPrecision = .fp32) throws -> Model {
        switch self {
        case .fp32: Model(try ModelParameters(file), products: products)
        case .bf16: Model(try CompactParameters(file), products: products)
        }
    }
}
