import CheckpointIO

/// The optimizers of two checkpoints: how far they are and what their moments weigh.
public struct OptimizerComparison: Sendable {
    /// Nil where that side has no optimizer.
    public let a: OptimizerRecord?
    public let b: OptimizerRecord?
    /// Over all first and all second moments both have; nil where one side has none.
    public let firstMoments: TensorDifference?
    public let secondMoments: TensorDifference?

    /// - Returns: nil where neither side has an optimizer.
    init?(_ a: CheckpointFile, _ b: CheckpointFile) throws {
        guard a.metadata.optimizer != nil || b.metadata.optimizer != nil else { return nil }
        self.a = a.metadata.optimizer
        self.b = b.metadata.optimizer
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
