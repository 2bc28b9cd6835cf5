import Parallel
import Ranks
import Transformer

/// The slices of an update, whose gradients are added in a fixed binary tree.
///
/// Each rank computes a range of them. Gradients, and so all states of a run, depend on the number of slices, not on
/// that of ranks. With one slice, an update is computed at once.
struct UpdateSlices {
    /// A power of two.
    let count: Int
    let ranks: RankGroup
    /// The parameters that this rank updates, if ranks share the optimizer.
    var shard: OptimizerShard?
    /// Sums of slices that wait for the other half of their node, by level; allocated when first used.
    private let waiting: WaitingSums

    /// - Throws: `OptionError` if there are more ranks than slices.
    init(_ count: Int, _ ranks: RankGroup) throws {
        try OptionError.require(
            ranks.count <= count,
            "\(ranks.count) ranks cannot share an update of \(count) \(count == 1 ? "slice" : "slices"); start at most "
                + "\(count), or a new run with --slices \(ranks.count)")
        self.count = count
        self.ranks = ranks
        waiting = WaitingSums()
    }

    /// The parts that a small model's passes are cut into, so that no sum depends on the number of threads.
    static let partsOfSmallModels = 8

    /// The number of slices if none is given: 1 for a process alone, which takes no memory for sums.
    static func standard(_ ranks: RankGroup) -> Int? { ranks.isLaunched ? max(4, ranks.count) : nil }

    /// The slices of this rank.
    private var own: Range<Int> {
        let each = count / ranks.count
        return ranks.rank * each..<(ranks.rank + 1) * each
    }

    /// Gradient buffers besides that of the sum.
    var buffers: Int { (count / ranks.count).trailingZeroBitCount }

    /// Cuts items of the given sizes into a contiguous range for each slice, of about equal sums.
    func cut(_ sizes: [Int]) -> [Range<Int>] {
        let total = sizes.reduce(0, +)
        var ranges: [Range<Int>] = []
        var (first, before) = (0, 0)
        for slice in 0..<count {
            var end = first
            // An item belongs to the slice that its middle lies in.
            while end < sizes.count, slice == count - 1 || (2 * before + sizes[end]) * count < 2 * total * (slice + 1) {
                before += sizes[end]
                end += 1
            }
            ranges.append(first..<end)
            first = end
        }
        return ranges
    }

    /// Computes the gradients of this rank's slices and adds those of all.
    ///
    /// - Parameters:
    ///   - gradients: becomes the sum.
    ///   - seed: the seed of random rounding, with the number of updates so far.
    ///   - compute: adds the gradient of a slice to a buffer of zeros, and returns what else is to be known of it.
    /// - Returns: the results of all slices in order.
    /// - Throws: `RankError`, and errors of `compute`.
    func accumulate<Part: Codable>(
        into gradients: ModelParameters, seed: (seed: UInt64, step: Int),
        _ compute: (_ slice: Int, _ gradients: ModelParameters) throws -> Part
    ) throws -> [Part] {
        var parts: [Part] = []
        func sum(_ slices: Range<Int>, into buffer: ModelParameters) throws {
            guard slices.count > 1 else {
                buffer.clear(seed: seed.seed, step: seed.step, slice: slices.lowerBound)
                return parts.append(try compute(slices.lowerBound, buffer))
            }
            let level = slices.count.trailingZeroBitCount - 1
            let middle = slices.lowerBound + slices.count / 2
            try sum(slices.lowerBound..<middle, into: buffer)
            let other = waiting.buffer(level, like: gradients)
            try sum(middle..<slices.upperBound, into: other)
            buffer.add(other, at: SliceNode(level: level, index: slices.lowerBound / slices.count))
        }
        try sum(own, into: gradients)
        try addRanks(gradients)
        return try ranks.gather(parts).flatMap { $0 }
    }

    /// Adds the sums of all ranks; with a shard, each rank has the sum of its own only.
    private func addRanks(_ gradients: ModelParameters) throws {
        guard ranks.count > 1 else { return }
        let first = buffers
        let cuts = cuts(of: gradients)
        try ranks.reduce(gradients.floatBytes, elementBytes: 4, cuts: cuts.floats) { _, _, range, received in
            gradients.addFloats(received, to: range)
        }
        try ranks.reduce(gradients.halfBytes, elementBytes: 2, cuts: cuts.halves) { level, node, range, received in
            gradients.addHalves(received, to: range, SliceNode(level: first + level, index: node))
        }
        if shard == nil { try spread(gradients) }
    }

    /// The segments of the buffers that ranks have the sums of.
    private func cuts(of gradients: ModelParameters) -> (floats: [Int], halves: [Int]) {
        shard?.cuts ?? (ranks.equalCuts(gradients.values.count), ranks.equalCuts(gradients.halfBytes.count / 2))
    }

    private func spread(_ gradients: ModelParameters) throws {
        let cuts = cuts(of: gradients)
        try ranks.spread(gradients.floatBytes, elementBytes: 4, cuts: cuts.floats)
        try ranks.spread(gradients.halfBytes, elementBytes: 2, cuts: cuts.halves)
    }

    /// The norm of a sum of gradients, or of what it has beyond `part`, with the same bits with and without a shard.
    ///
    /// - Throws: `RankError`.
    func norm(_ gradients: ModelParameters, minus part: ModelParameters? = nil) throws -> Double {
        guard let shard else { return gradientNorm(gradients, minus: part) }
        let sums = try ranks.gather(gradients.squareSums(shard.own, minus: part))
        let inOrder = zip(ranks.segments, sums).sorted { $0.0 < $1.0 }.flatMap(\.1)
        return inOrder.reduce(0, +).squareRoot()
    }

    /// Gives all ranks the weights that each has updated; `gradients`, whose sum is not needed any more, carry them.
    ///
    /// - Throws: `RankError`.
    func shareWeights(_ weights: ModelParameters, through gradients: ModelParameters) throws {
        guard let shard else { return }
        gradients.copy(shard.own, from: weights)
        try spread(gradients)
        gradients.copy(shard.others, to: weights)
    }

    /// Buffers that are reused from update to update.
    private final class WaitingSums {
        private var levels: [Int: ModelParameters] = [:]

        func buffer(_ level: Int, like gradients: ModelParameters) -> ModelParameters {
            if let buffer = levels[level], buffer.trained == gradients.trained { return buffer }
            let buffer = ModelParameters(gradients.configuration, gradients.trained, gradients.precision)
            levels[level] = buffer
            return buffer
        }
    }
}
