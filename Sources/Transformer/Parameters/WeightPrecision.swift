import CheckpointIO

/// The number format in memory of a model's weights, and of their gradients if it is trained.
///
/// `ProductPrecision` is the format they are multiplied in.
public enum WeightPrecision: String, Sendable, CaseIterable {
    /// All parameters in float32.
    case fp32
    /// Matrices in bfloat16, for half the memory; norms and biases in float32.
    case bf16

    package var bytesPerParameter: Int { self == .bf16 ? 2 : 4 }

    /// The bytes of parameters.
    package func byteCount(_ parameters: [ParameterDescription]) -> Int {
        parameters.reduce(0) { $0 + $1.elementCount * ($1.isMatrix ? bytesPerParameter : 4) }
    }
}
