import CheckpointIO

/// How the weights of a model that is not trained are held; `ProductPrecision` says what they are multiplied in.
public enum WeightPrecision: String, Sendable, CaseIterable {
    /// As they are stored, widened where they are narrower.
    case fp32
    /// Matrices rounded to bfloat16, for half the memory.
    case bf16

    public var bytesPerParameter: Int { self == .bf16 ? 2 : 4 }

    /// Loads a checkpoint's weights. Of those in bfloat16 no gradient can be had.
    ///
    /// - Throws: what loading throws.
    public func model(_ file: CheckpointFile, products: ProductPrecision = .fp32) throws -> Model {
        switch self {
        case .fp32: Model(try ModelParameters(file), products: products)
        case .bf16: Model(try CompactParameters(file), products: products)
        }
    }
}
