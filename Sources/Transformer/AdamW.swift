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

/// AdamW with decoupled weight decay (Loshchilov and Hutter), in PyTorch's order of operations. Norms and biases do
/// not decay.
public struct AdamW: Sendable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double
    /// Running means of gradients and of their squares.
    public var m: ModelParameters
    public var v: ModelParameters
    /// Updates done so far.
    public var step: Int

    public init(
        _ configuration: ModelConfiguration, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        m = ModelParameters(configuration)
        v = ModelParameters(configuration)
        step = 0
    }

    /// One update. Gradients are multiplied by `gradientScale` first (clipping, averaging). Parameters named in `frozen`
    /// stay as they are, weight decay included; of those in `onlyRows` only these rows, ascending, change.
    public mutating func update(
        _ parameters: ModelParameters, gradients: ModelParameters, learningRate: Float, gradientScale: Float = 1,
        rowLearningRateScale: [RowScale] = [], frozen: Set<String> = [], onlyRows: [String: [Int]] = [:]
    ) {
        step += 1
        var offset = 0
        for description in parameters.layout {
            guard !frozen.contains(description.name) else {
                offset += description.elementCount
                continue
            }
            let columns = description.shape.last ?? 1
            var scales: [Int: Float] = [:]
            for scale in rowLearningRateScale where names(scale.name, description.name, parameters.configuration) {
                scales[scale.row] = scale.factor
            }
            let rows = description.elementCount / columns
            if let only = onlyRows[description.name] {
                for row in only where row >= 0 && row < rows {
                    update(
                        parameters, gradients, offset, row * columns, (row + 1) * columns, description,
                        learningRate * (scales[row] ?? 1), gradientScale)
                }
                offset += description.elementCount
                continue
            }
            // Runs of rows with the same learning rate, in order.
            var first = 0
            for row in scales.keys.sorted() where row >= first && row < rows {
                update(
                    parameters, gradients, offset, first * columns, row * columns, description, learningRate,
                    gradientScale)
                update(
                    parameters, gradients, offset, row * columns, (row + 1) * columns, description,
                    learningRate * scales[row]!, gradientScale)
                first = row + 1
            }
            update(
                parameters, gradients, offset, first * columns, description.elementCount, description, learningRate,
                gradientScale)
            offset += description.elementCount
        }
    }

    private func names(_ wanted: String, _ name: String, _ configuration: ModelConfiguration) -> Bool {
        wanted == name
            || (wanted == "lm_head.weight" && configuration.tiesWordEmbeddings && name == "model.embed_tokens.weight")
    }

    private func update(
        _ parameters: ModelParameters, _ gradients: ModelParameters, _ offset: Int, _ start: Int, _ end: Int,
        _ description: ParameterDescription, _ learningRate: Float, _ gradientScale: Float
    ) {
        guard end > start else { return }
        let rate = Double(learningRate)
        let constants = AdamWStep.Constants(
            keep: Float(1 - rate * (description.isMatrix ? weightDecay : 0)), beta2: Float(beta2),
            oneMinusBeta1: Float(1 - beta1), oneMinusBeta2: Float(1 - beta2),
            stepSize: Float(rate / (1 - pow(beta1, Double(step)))),
            inverseRootCorrection: Float(1 / (1 - pow(beta2, Double(step))).squareRoot()), epsilon: Float(epsilon),
            gradientScale: gradientScale)
        let first = offset + start
        ThreadTeam.everyone.split(end - start, grain: 32_768) { range, _ in
            AdamWStep.apply(
                constants, range.count, parameters.values.baseAddress! + first + range.lowerBound,
                gradients.values.baseAddress! + first + range.lowerBound,
                m.values.baseAddress! + first + range.lowerBound,
                v.values.baseAddress! + first + range.lowerBound)
        }
    }
}

/// The Euclidean norm of all gradients together, summed in double precision in a fixed order.
///
/// - Parameter part: taken off first, where given: the norm of `gradients` − `part`.
public func gradientNorm(_ gradients: ModelParameters, minus part: ModelParameters? = nil) -> Double {
    let piece = 1 << 16
    let count = gradients.values.count
    let pieces = (count + piece - 1) / piece
    var sums = [Double](repeating: 0, count: pieces)
    sums.withUnsafeMutableBufferPointer { sums in
        ThreadTeam.everyone.split(pieces, grain: 4) { range, _ in
            let difference = Floats.allocate(capacity: part == nil ? 1 : piece)
            defer { difference.deallocate() }
            for index in range {
                let start = index * piece
                let length = min(piece, count - start)
                let values = gradients.values.baseAddress! + start
                if let part {
                    let others = part.values.baseAddress! + start
                    for i in 0..<length { difference[i] = values[i] - others[i] }
                }
                sums[index] = VectorMath.sumOfSquares(part == nil ? values : difference, length)
            }
        }
    }
    return sums.reduce(0, +).squareRoot()
}

/// The factor that brings gradients of that norm down to `limit`; 1 where they are within it (or there is no limit).
public func clipScale(norm: Double, limit: Double) -> Float {
    limit > 0 && norm > limit ? Float(limit / (norm + 1e-6)) : 1
}
