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
        var total = TensorDifference()
        for pair in CheckpointComparison.pairs(a, b, in: group) {
            guard let left = pair.a, let right = pair.b else { continue }
            let comparison = try TensorComparison((a, left), (b, right), name: pair.name)
            if let statistics = comparison.statistics {
                total.add(statistics)
            } else if comparison.status == .identical {
                total.elementCount += left.description.elementCount
                total.identicalCount += left.description.elementCount
            }
        }
        return total.elementCount > 0 ? total : nil
    }
}
