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
    /// The parameters that have moments.
    private let trained: TrainedLayout
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

    /// An optimizer with moments for what `trained` lists; `seed` is that of stochastic rounding, if they are in 8
    /// bits.
    package init(
        _ configuration: ModelConfiguration, _ trained: TrainedLayout, beta1: Double = 0.9, beta2: Double = 0.999,
        epsilon: Double = 1e-8, weightDecay: Double = 0, moments: MomentPrecision = .fp32, seed: UInt64 = 0
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.trained = trained
        self.seed = seed
        let wide = moments == .fp32 ? trained : trained.filter { !$0.isMatrix }
        m = ModelParameters(configuration, wide)
        v = ModelParameters(configuration, wide)
        let matrices = trained.parameters.filter { $0.isMatrix }
        eightBit =
            moments == .fp32
            ? nil : (EightBitMoment(matrices, isSigned: true), EightBitMoment(matrices, isSigned: false))
        step = 0
    }

    /// Updates the parameters once.
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
            var scales: [Int: Float] = [:]
            for scale in rowLearningRateScale where names(scale.name, description.name, parameters.configuration) {
                scales[scale.row] = scale.factor
            }
            let key = CounterRandom.key(seed: seed, step: step, stream: stream)
            if let rows = gradients.rows[description.name] {
                let isWhole = parameters.rows[description.name] == nil
                precondition(isWhole || parameters.rows[description.name] == rows, "weights and gradients match")
                for (place, row) in rows.enumerated() {
                    update(
                        parameters, from: isWhole ? row : place, gradients, description, place..<place + 1,
                        learningRate * (scales[row] ?? 1), gradientScale, key)
                }
                continue
            }
            let rows = description.elementCount / columns
            // Ranges of rows with the same learning rate, in order.
            var first = 0
            func updateRows(upTo end: Int, _ learningRate: Float) {
                update(
                    parameters, from: first, gradients, description, first..<end, learningRate, gradientScale, key)
                first = end
            }
            for (row, scale) in scales.sorted(by: { $0.key < $1.key }) where row >= first && row < rows {
                updateRows(upTo: row, learningRate)
                updateRows(upTo: row + 1, learningRate * scale)
            }
            updateRows(upTo: rows, learningRate)
        }
    }

    private func names(_ wanted: String, _ name: String, _ configuration: ModelConfiguration) -> Bool {
        wanted == name
            || (wanted == "lm_head.weight" && configuration.tiesWordEmbeddings && name == "model.embed_tokens.weight")
    }

    /// Updates the weights of a parameter from row `start` on, whose gradients and moments are the rows `rows`.
    private func update(
        _ parameters: ModelParameters, from start: Int, _ gradients: ModelParameters,
        _ description: ParameterDescription, _ rows: Range<Int>, _ learningRate: Float, _ gradientScale: Float,
        _ key: UInt64
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
            let first = rows.lowerBound * columns
            nonisolated(unsafe) let (weights, gradient) = (weights + start * columns, gradient + first)
            nonisolated(unsafe) let (m, v) = (m + first, v + first)
            ThreadTeam.everyone.split(rows.count * columns, grain: 32_768) { range, _ in
                let at = range.lowerBound
                AdamWStep.apply(constants, range.count, weights + at, gradient + at, m + at, v + at)
            }
            return
        }
        guard let weights = parameters.firstRow(name), let gradient = gradients.firstRow(name),
            let (m, v) = moments(description)
        else { return }
        nonisolated(unsafe) let all = (weights, gradient, m, v)
        ThreadTeam.everyone.split(rows.count, grain: max(1, 32_768 / columns)) { range, _ in
            let (weights, gradient, m, v) = all
            for row in range {
                let place = rows.lowerBound + row
                AdamWStep.apply(
                    constants, columns, weights.advanced(by: (start + row) * columns),
                    gradient.advanced(by: place * columns), m.advanced(by: place, columns),
                    v.advanced(by: place, columns), key, index: place * columns)
            }
        }
    }

    /// The first rows of a parameter's moments.
    private func moments(_ description: ParameterDescription) -> (m: MomentRow, v: MomentRow)? {
        if description.isMatrix, let (m, v) = eightBit {
            guard let m = m.firstRow(description), let v = v.firstRow(description) else { return nil }
            return (.quantized(m), .quantized(v))
        }
        guard let m = m.vector(description.name), let v = v.vector(description.name) else { return nil }
        return (.float32(m), .float32(v))
    }
}

/// The Euclidean norm of all gradients, or of `gradients` − `part`, summed in double precision in a fixed order.
public func gradientNorm(_ gradients: ModelParameters, minus part: ModelParameters? = nil) -> Double {
    let piece = 1 << 16
    func ranges(_ count: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: piece).map { $0..<min(count, $0 + piece) }
    }
    let floats = ranges(gradients.values.count)
    let halves = ranges(gradients.halves.count)
    var sums = [Double](repeating: 0, count: floats.count + halves.count)
    sums.withUnsafeMutableBufferPointer { sums in
        ThreadTeam.everyone.split(sums.count, grain: 4) { indices, _ in
            let scratch = Floats.allocate(capacity: 2 * piece)
            defer { scratch.deallocate() }
            for index in indices {
                let isWide = index < floats.count
                let range = isWide ? floats[index] : halves[index - floats.count]
                var values = gradients.floats(range, isWide, scratch)
                if let part {
                    let others = part.floats(range, isWide, scratch + piece)
                    for i in 0..<range.count { scratch[i] = values[i] - others[i] }
                    values = scratch
                }
                sums[index] = VectorMath.sumOfSquares(values, range.count)
            }
        }
    }
    return sums.reduce(0, +).squareRoot()
}

extension ModelParameters {
    /// Elements of the buffer in float32, or of that in bfloat16, which `scratch` then holds in float32.
    fileprivate func floats(_ range: Range<Int>, _ isWide: Bool, _ scratch: Floats) -> Floats {
        if isWide { return start + range.lowerBound }
        if let halves = halves.baseAddress { BFloat16.widen(halves + range.lowerBound, into: scratch, range.count) }
        return scratch
    }
}

/// The factor that scales gradients of norm `norm` down to `limit`; 1 if they are within the limit or it is 0.
public func clipScale(norm: Double, limit: Double) -> Float {
    limit > 0 && norm > limit ? Float(limit / (norm + 1e-6)) : 1
}
