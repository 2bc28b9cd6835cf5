import CheckpointIO

/// The optimizer settings of two checkpoints and the difference of their moments.
package struct OptimizerComparison: Sendable {
    /// nil if A has no optimizer.
    package let a: OptimizerRecord?
    /// nil if B has no optimizer.
    package let b: OptimizerRecord?
    /// Over all first moments that both have; nil if there are none, or if they are in 8 bits.
    package let firstMoments: TensorDifference?
    /// Over all second moments that both have; nil if there are none, or if they are in 8 bits.
    package let secondMoments: TensorDifference?

    /// Compares the optimizers; nil if neither side has one.
    init?(_ a: CheckpointFile, _ b: CheckpointFile) throws {
        guard a.metadata.optimizer != nil || b.metadata.optimizer != nil else { return nil }
        self.a = a.metadata.optimizer
        self.b = b.metadata.optimizer
        guard a.metadata.optimizer?.moments == nil, b.metadata.optimizer?.moments == nil else {
            (firstMoments, secondMoments) = (nil, nil)
            return
        }
        firstMoments = try Self.total(a, b, .optimizerM)
        secondMoments = try Self.total(a, b, .optimizerV)
    }

    private static func total(_ a: CheckpointFile, _ b: CheckpointFile, _ group: TensorGroup) throws
        -> TensorDifference?
    {
        let pairings = CheckpointComparison.pairs(a, b, in: group).compactMap { pair in
            pair.a.flatMap { left in
                pair.b.map { TensorPairing((a, left), (b, $0), name: pair.name) }
            }
        }
        let total = ComparisonReport.total(of: try TensorComparison.measure(pairings))
        return total.elementCount > 0 ? total : nil
    }
}
