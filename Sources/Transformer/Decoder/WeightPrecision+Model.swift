import CheckpointIO

extension WeightPrecision {
    /// Loads a model for inference from a checkpoint; matrices in bf16 are rounded to nearest.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    public func model(_ file: CheckpointFile, products: ProductPrecision = .fp32) throws -> Model {
        switch self {
        case .fp32: Model(try ModelParameters(file), products: products)
        case .bf16: Model(try CompactParameters(file), products: products)
        }
    }
}
