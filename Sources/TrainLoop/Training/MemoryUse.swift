import CheckpointIO
import Transformer

/// A part of the memory that a run takes.
package struct MemoryUse: Sendable {
    package let purpose: String
    package let bytes: Int
    /// Whether a trainer that is ready to run has it already.
    package var isAllocated = false

    /// The weights, and gradients and moments of what is trained.
    static func parameters(
        _ configuration: ModelConfiguration, _ trained: TrainedLayout, _ moments: MomentPrecision,
        _ weights: WeightPrecision
    ) -> [MemoryUse] {
        let count = configuration.parameterCount
        let what =
            (trained.elementCount == count ? "" : " of \(trained.elementCount) trained numbers")
            + (moments == .fp32 ? "" : ", moments in 8 bits")
        let format = weights == .fp32 ? "" : " in bf16"
        return [
            MemoryUse(
                purpose: "weights" + format, bytes: weights.byteCount(configuration.parameters), isAllocated: true),
            MemoryUse(
                purpose: "gradient\(format) and two moments" + what,
                bytes: weights.byteCount(trained.parameters) + 2 * moments.byteCount(trained), isAllocated: true),
        ]
    }

    /// The parts that every run has, for passes over `tokens` tokens in sequences of up to `longest` tokens.
    static func training(
        _ gradients: ModelParameters, _ moments: MomentPrecision, tokens: Int, longest: Int, recomputing: Bool
    ) -> [MemoryUse] {
        parameters(gradients.configuration, gradients.trained, moments, gradients.precision) + [
            MemoryUse(
                purpose: "activations of \(tokens) tokens" + (recomputing ? ", recomputed" : ""),
                bytes: MemoryEstimate.passes(
                    gradients.configuration, gradients.trained, tokens: tokens, longest: longest,
                    recomputesActivations: recomputing))
        ]
    }
}

extension [MemoryUse] {
    package var bytes: Int { reduce(0) { $0 + $1.bytes } }
    /// The bytes that a trainer which is ready to run does not have yet.
    package var bytesToAllocate: Int { reduce(0) { $0 + ($1.isAllocated ? 0 : $1.bytes) } }
}
