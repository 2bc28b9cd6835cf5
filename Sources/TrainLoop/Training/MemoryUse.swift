import CheckpointIO
import Transformer

/// A part of the memory that a run takes.
package struct MemoryUse: Sendable {
    package let purpose: String
    package let bytes: Int
    /// Whether a trainer that is ready to run has it already.
    package var isAllocated = false

    /// The parameters of a run that starts from `file`, whose moments `sharers` processes share.
    static func parameters(
        of file: CheckpointFile, _ configuration: ModelConfiguration, _ trained: TrainedParameters,
        _ moments: MomentPrecision, sharers: Int
    ) -> [MemoryUse] {
        parameters(
            weightBytes: trained.adapters == nil
                ? trained.weights.byteCount(configuration.parameters)
                : AdaptedWeights.baseBytes(file, configuration),
            trained.layout, moments, trained.weights, of: configuration, sharers: sharers)
    }

    /// The weights, and gradients and moments of what is trained.
    private static func parameters(
        weightBytes: Int, _ trained: TrainedLayout, _ moments: MomentPrecision, _ gradients: WeightPrecision,
        of configuration: ModelConfiguration, sharers: Int
    ) -> [MemoryUse] {
        let isWhole = trained.elementCount == configuration.parameterCount
        let what =
            (isWhole ? "" : " of \(trained.elementCount) trained numbers")
            + (moments == .fp32 ? "" : ", moments in 8 bits")
            + (sharers > 1 ? ", moments shared by \(sharers) ranks" : "")
        let format = gradients == .fp32 ? "" : " in bf16"
        let adapterBytes = trained.isAdapters ? 4 * trained.elementCount : 0
        return [
            MemoryUse(purpose: "weights" + (trained.isAdapters ? "" : format), bytes: weightBytes, isAllocated: true),
            MemoryUse(
                purpose: (trained.isAdapters ? "adapters with gradient" : "gradient") + format + " and two moments"
                    + what,
                bytes: adapterBytes + gradients.byteCount(trained.parameters)
                    + 2 * moments.byteCount(trained) / sharers,
                isAllocated: true),
        ]
    }

    /// The parts that every run has, for passes over `tokens` tokens in sequences of up to `longest` tokens.
    static func training(
        _ state: TrainingState, _ gradients: ModelParameters, _ options: OptimizerOptions, tokens: Int, longest: Int,
        recomputing: Bool, slices: UpdateSlices
    ) -> [MemoryUse] {
        let sums = slices.buffers * gradients.precision.byteCount(gradients.layout)
        return parameters(
            weightBytes: state.weightBytes, gradients.trained, options.moments, gradients.precision,
            of: gradients.configuration, sharers: slices.shard == nil ? 1 : slices.ranks.count
        ) + [
            MemoryUse(
                purpose: "activations of \(tokens) tokens" + (recomputing ? ", recomputed" : "")
                    + (recomputing && options.activations == .bf16 ? " from inputs in bf16" : ""),
                bytes: MemoryEstimate.passes(
                    gradients.configuration, gradients.trained, tokens: tokens, longest: longest,
                    recomputesActivations: recomputing, options.activations))
        ] + (sums > 0 ? [MemoryUse(purpose: "sums of \(slices.count) slices", bytes: sums)] : [])
    }
}

extension [MemoryUse] {
    package var bytes: Int { reduce(0) { $0 + $1.bytes } }
    /// The bytes that a trainer which is ready to run does not have yet.
    package var bytesToAllocate: Int { reduce(0) { $0 + ($1.isAllocated ? 0 : $1.bytes) } }
}
