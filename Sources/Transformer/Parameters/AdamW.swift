import CheckpointIO
import Foundation
import Parallel

/// A factor on the learning rate of one row of one parameter.
public struct RowScale: Sendable, Equatable {
    public var name: String
    public var row: Int
    public var factor: Float

    public init(name: String, row: Int, factor: Float) {
        self.name = name
        self.row = row
        self.factor = factor
    }
}

/// AdamW with decoupled weight decay (Loshchilov and Hutter, 2019), in PyTorch's order of operations.
///
/// Weight decay applies to matrices, not to norms and biases.
public struct AdamW: Sendable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double
    /// The exponential moving average of the gradients of what is trained, as far as it is in float32.
    public var m: ModelParameters
    /// The exponential moving average of the squared gradients, as far as it is in float32.
    public var v: ModelParameters
    /// The moments of matrices in 8 bits; nil if they are in float32.
    package let eightBit: (m: EightBitMoment, v: EightBitMoment)?
    /// The number of updates so far.
    public var step: Int
    /// The parameters that are trained.
    package let trained: TrainedLayout
    /// The rows of them that have moments here; nil: all.
    package let shard: OptimizerShard?
    /// The seed of stochastic rounding.
    private let seed: UInt64

    public init(
        _ configuration: ModelConfiguration, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0
    ) {
        self.init(
            configuration, TrainedLayout(configuration), beta1: beta1, beta2: beta2, epsilon: epsilon,
            weightDecay: weightDecay)
    }

    /// An optimizer with moments for what `trained` lists, or for a shard of it; `seed` is that of stochastic rounding,
    /// if they are in 8 bits.
    package init(
        _ configuration: ModelConfiguration, _ trained: TrainedLayout, beta1: Double = 0.9, beta2: Double = 0.999,
        epsilon: Double = 1e-8, weightDecay: Double = 0, moments: MomentPrecision = .fp32, seed: UInt64 = 0,
        shard: OptimizerShard? = nil
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.trained = trained
        self.seed = seed
        self.shard = shard
        let own = shard?.part(of: trained) ?? trained
        let wide = moments == .fp32 ? own : own.filter { !$0.isMatrix }
        m = ModelParameters(configuration, wide)
        v = ModelParameters(configuration, wide)
        let matrices = own.parameters.filter { $0.isMatrix }
        eightBit =
            moments == .fp32
            ? nil : (EightBitMoment(matrices, isSigned: true), EightBitMoment(matrices, isSigned: false))
        step = 0
    }

    /// Updates the parameters once, or the rows of the shard.
    ///
    /// - Parameters:
    ///   - parameters: updated in place.
    ///   - gradients: the gradients of the loss, of the parameters that have moments; not modified.
    ///   - learningRate: the step size, also applied to weight decay.
    ///   - gradientScale: a factor on the gradients, for clipping or averaging.
    ///   - rowLearningRateScale: factors on the learning rate of single rows.
    public mutating func update(
        _ parameters: ModelParameters, gradients: ModelParameters, learningRate: Float, gradientScale: Float = 1,
        rowLearningRateScale: [RowScale] = []
    ) {
        precondition(gradients.trained == trained, "gradients and moments belong to the same parameters")
        step += 1
        for (stream, description) in gradients.layout.enumerated() {
            guard parameters.firstRow(description.name) != nil else { continue }
            let columns = description.shape.last ?? 1
            guard let own = shard.map({ $0.rows[description.name] }) ?? 0..<description.elementCount / columns else {
                continue
            }
            var scales: [Int: Float] = [:]
            for scale in rowLearningRateScale where names(scale.name, description.name, parameters.configuration) {
                scales[scale.row] = scale.factor
            }
            let key = CounterRandom.key(seed: seed, step: step, stream: stream)
            if let rows = gradients.rows[description.name] {
                let isWhole = parameters.rows[description.name] == nil
                precondition(isWhole || parameters.rows[description.name] == rows, "weights and gradients match")
                for (place, row) in rows.enumerated() where own.contains(place) {
                    update(
                        parameters, from: isWhole ? row : place, gradients, description, place..<place + 1, own,
                        learningRate * (scales[row] ?? 1), gradientScale, key)
                }
                continue
            }
            // Ranges of rows with the same learning rate, in order.
            var first = own.lowerBound
            func updateRows(upTo end: Int, _ learningRate: Float) {
                update(
                    parameters, from: first, gradients, description, first..<end, own, learningRate, gradientScale,
                    key)
                first = end
            }
            for (row, scale) in scales.sorted(by: { $0.key < $1.key }) where row >= first && row < own.upperBound {
                updateRows(upTo: row, learningRate)
                updateRows(upTo: row + 1, learningRate * scale)
            }
            updateRows(upTo: own.upperBound, learningRate)
        }
    }

    private func names(_ wanted: String, _ name: String, _ configuration: ModelConfiguration) -> Bool {
        wanted == name
            || (wanted == "lm_head.weight" && configuration.tiesWordEmbeddings && name == "model.embed_tokens.weight")
    }

    /// Updates the weights of a parameter from row `start` on, whose gradients are the rows `rows`; moments begin with
    /// those of the first row of `own`.
    private func update(
        _ parameters: ModelParameters, from start: Int, _ gradients: ModelParameters,
        _ description: ParameterDescription, _ rows: Range<Int>, _ own: Range<Int>, _ learningRate: Float,
        _ gradientScale: Float, _ key: UInt64
    ) {
        guard !rows.isEmpty else { return }
        let name = description.name
        let columns = description.shape.last ?? 1
        let rate = Double(learningRate)
        let constants = AdamWStep.Constants(
            keep: Float(1 - rate * (description.isMatrix ? weightDecay : 0)), beta2: Float(beta2),
            oneMinusBeta1: Float(1 - beta1), oneMinusBeta2: Float(1 - beta2),
            stepSize: Float(rate / (1 - pow(beta1, Double(step)))),
            inverseRootCorrection: Float(1 / (1 - pow(beta2, Double(step))).squareRoot()), epsilon: Float(epsilon),
            gradientScale: gradientScale)
        if let weights = parameters.vector(name), let gradient = gradients.vector(name), let m = m.vector(name),
            let v = v.vector(name)
        {
            nonisolated(unsafe) let (weights, gradient) = (
                weights + start * columns, gradient + rows.lowerBound * columns
            )
            let first = (rows.lowerBound - own.lowerBound) * columns
            nonisolated(unsafe) let (m, v) = (m + first, v + first)
            ThreadTeam.everyone.split(rows.count * columns, grain: 32_768) { range, _ in
                let at = range.lowerBound
                AdamWStep.apply(constants, range.count, weights + at, gradient + at, m + at, v + at)
            }
            return
        }
        guard let weights = parameters.firstRow(name), let gradient = gradients.firstRow(name),
            let (m, v) = moments(description, own)
        else { return }
        nonisolated(unsafe) let all = (weights, gradient, m, v)
        ThreadTeam.everyone.split(rows.count, grain: max(1, 32_768 / columns)) { range, _ in
            let (weights, gradient, m, v) = all
            for row in range {
                let place = rows.lowerBound + row
                AdamWStep.apply(
                    constants, columns, weights.advanced(by: (start + row) * columns),
                    gradient.advanced(by: place * columns), m.advanced(by: place - own.lowerBound, columns),
                    v.advanced(by: place - own.lowerBound, columns), key, index: place * columns)
            }
        }
    }

    /// The first rows of the moments of some rows of a parameter.
    private func moments(_ description: ParameterDescription, _ own: Range<Int>) -> (m: MomentRow, v: MomentRow)? {
        if description.isMatrix, let (m, v) = eightBit {
            var part = description
            part.shape[0] = own.count
            guard let m = m.firstRow(part), let v = v.firstRow(part) else { return nil }
            return (.quantized(m), .quantized(v))
        }
        guard let m = m.vector(description.name), let v = v.vector(description.name) else { return nil }
        return (.float32(m), .float32(v))
    }
}

/// The factor that scales gradients of norm `norm` down to `limit`; 1 if they are within the limit or it is 0.
public func clipScale(norm: Double, limit: Double) -> Float {
    limit > 0 && norm > limit ? Float(limit / (norm + 1e-6)) : 1
}
