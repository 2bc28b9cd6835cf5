import Foundation
import Parallel

/// The difference between two models' predictions of the next token at one position, at temperature 1.
///
/// Probabilities are over the token ids that both models have.
package struct TokenDivergence: Sendable {
    /// KL(A ‖ B) in nats.
    package var divergence: Double
    /// Entropies in nats.
    package var entropyA: Double
    package var entropyB: Double
    /// The most likely tokens and their probabilities.
    package var topA: (token: Int, probability: Double)
    package var topB: (token: Int, probability: Double)
    /// Log-probabilities of the following token; NaN at the end of a text.
    package var logProbabilityA: Double
    package var logProbabilityB: Double

    /// Positions and rows of the head multiplied at a time; each model's block of logits takes 16 MiB.
    private static let placesAtOnce = 2048
    private static let rowsAtOnce = 2048

    /// Compares two models at every token of the texts that both states were computed from.
    ///
    /// Both heads are read in blocks of rows, and the sums of each softmax are rescaled whenever a larger logit
    /// appears, so that neither all logits nor a whole head is in memory.
    ///
    /// - Parameters:
    ///   - a: the states of the first model.
    ///   - b: the states of the second model.
    ///   - following: the token that follows each position, nil at the end of a text.
    /// - Returns: one comparison per token.
    /// - Throws: the errors of reading a head.
    package static func measure(_ a: FinalStates, _ b: FinalStates, following: [Int?]) throws -> [TokenDivergence] {
        let rows = min(a.vocabularySize, b.vocabularySize)
        var result: [TokenDivergence] = []
        result.reserveCapacity(following.count)
        let block = Swift.min(rowsAtOnce, rows)
        let places = Swift.min(placesAtOnce, following.count)
        let headA = UnsafeMutableBufferPointer<Float>.allocate(capacity: block * a.width)
        let headB = UnsafeMutableBufferPointer<Float>.allocate(capacity: block * b.width)
        let logits = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * places * block)
        defer {
            headA.deallocate()
            headB.deallocate()
            logits.deallocate()
        }
        for first in stride(from: 0, to: following.count, by: placesAtOnce) {
            let range = first..<Swift.min(first + placesAtOnce, following.count)
            let sums = PlaceSums(targets: following[range].map { $0 ?? -1 })
            for start in stride(from: 0, to: rows, by: block) {
                let part = start..<Swift.min(start + block, rows)
                guard let logitsA = logits.baseAddress else { continue }
                let logitsB = logitsA + places * block
                try multiply(a, range, part, headA, into: logitsA)
                try multiply(b, range, part, headB, into: logitsB)
                sums.add(logitsA, logitsB, rows: part)
            }
            result += sums.results
        }
        return result
    }

    /// logits[places, rows] = states[places, width] head[rows, width]ᵀ, after reading the rows of the head.
    private static func multiply(
        _ states: FinalStates, _ places: Range<Int>, _ rows: Range<Int>, _ head: UnsafeMutableBufferPointer<Float>,
        into logits: UnsafeMutablePointer<Float>
    ) throws {
        let width = states.width
        let part = UnsafeMutableBufferPointer(rebasing: head[..<(rows.count * width)])
        try states.readHead(rows, part)
        states.values.withUnsafeBufferPointer { values in
            guard let input = values.baseAddress, let matrix = part.baseAddress else { return }
            gemmNT(
                Matrix(reading: input + places.lowerBound * width, rows: places.count, columns: width),
                Matrix(reading: matrix, rows: rows.count, columns: width),
                into: Matrix(logits, rows: places.count, columns: rows.count), team: .everyone)
        }
    }
}

/// The running sums of two softmaxes at each of several positions.
private final class PlaceSums: @unchecked Sendable {
    // Sendable because each thread adds to its own positions and the owner waits for all threads.
    private struct Sums {
        var highest = -Float.infinity
        var token = 0
        /// Σ e^(z − highest).
        var mass = 0.0
        /// Σ (z − highest) e^(z − highest).
        var weighted = 0.0
        var target = Double.nan

        /// Rescales the sums to a new highest logit, if it is higher, and returns the factor of the scale.
        mutating func raise(to value: Float, at token: Int) -> Double {
            guard value > highest else { return 1 }
            let step = Double(highest) - Double(value)
            let scale = mass > 0 ? exp(step) : 0
            weighted = mass > 0 ? (weighted + mass * step) * scale : 0
            mass *= scale
            highest = value
            self.token = token
            return scale
        }

        var normalizer: Double { Double(highest) + log(mass) }
        var entropy: Double { Swift.max(0, log(mass) - weighted / mass) }
        var top: (token: Int, probability: Double) { (token, 1 / mass) }
    }

    private let targets: [Int]
    private let a: UnsafeMutableBufferPointer<Sums>
    private let b: UnsafeMutableBufferPointer<Sums>
    /// Σ e^(z_A − highest_A) (z_A − z_B).
    private let crossed: UnsafeMutableBufferPointer<Double>

    init(targets: [Int]) {
        self.targets = targets
        a = .allocate(capacity: targets.count)
        b = .allocate(capacity: targets.count)
        crossed = .allocate(capacity: targets.count)
        a.initialize(repeating: Sums())
        b.initialize(repeating: Sums())
        crossed.initialize(repeating: 0)
    }

    deinit {
        a.deallocate()
        b.deallocate()
        crossed.deallocate()
    }

    /// Adds the logits `[places, rows]` of both models for the token ids `rows`.
    func add(_ logitsA: UnsafePointer<Float>, _ logitsB: UnsafePointer<Float>, rows: Range<Int>) {
        let count = rows.count
        ThreadTeam.everyone.split(targets.count, grain: max(1, 16_384 / count)) { places, _ in
            for place in places { add(place, logitsA + place * count, logitsB + place * count, rows) }
        }
    }

    private func add(_ place: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ rows: Range<Int>) {
        let count = rows.count
        if let index = Self.highestIndex(x, count, above: a[place].highest) {
            crossed[place] *= a[place].raise(to: x[index], at: rows.lowerBound + index)
        }
        if let index = Self.highestIndex(y, count, above: b[place].highest) {
            _ = b[place].raise(to: y[index], at: rows.lowerBound + index)
        }
        let (topA, topB) = (a[place].highest, b[place].highest)
        var massA = Vector8.zero
        var massB = Vector8.zero
        var weightedA = Vector8.zero
        var weightedB = Vector8.zero
        var cross = Vector8.zero
        var i = 0
        while i < count {
            let left = count - i
            // The padding of the last vector is so low that its probability is zero.
            let z = left >= 8 ? load(x, i) : loadTail(x, i, count, fill: topA - 200)
            let w = left >= 8 ? load(y, i) : loadTail(y, i, count, fill: topB - 200)
            let (da, db) = (z - topA, w - topB)
            let (ea, eb) = (exponential(da), exponential(db))
            massA += ea
            massB += eb
            weightedA += ea * da
            weightedB += eb * db
            cross += ea * (z - w)
            i += 8
        }
        a[place].mass += Double(horizontalSum(massA))
        b[place].mass += Double(horizontalSum(massB))
        a[place].weighted += Double(horizontalSum(weightedA))
        b[place].weighted += Double(horizontalSum(weightedB))
        crossed[place] += Double(horizontalSum(cross))
        if rows.contains(targets[place]) {
            a[place].target = Double(x[targets[place] - rows.lowerBound])
            b[place].target = Double(y[targets[place] - rows.lowerBound])
        }
    }

    private static func highestIndex(_ values: UnsafePointer<Float>, _ count: Int, above bound: Float) -> Int? {
        let highest = VectorMath.maximum(values, count)
        guard highest > bound else { return nil }
        return (0..<count).first { values[$0] == highest }
    }

    var results: [TokenDivergence] {
        targets.indices.map { place in
            let (left, right) = (a[place], b[place])
            let divergence = crossed[place] / left.mass - left.normalizer + right.normalizer
            return TokenDivergence(
                // Rounding can make the divergence of equal predictions slightly negative.
                divergence: divergence < 0 ? 0 : divergence, entropyA: left.entropy, entropyB: right.entropy,
                topA: left.top, topB: right.top, logProbabilityA: left.target - left.normalizer,
                logProbabilityB: right.target - right.normalizer)
        }
    }
}
