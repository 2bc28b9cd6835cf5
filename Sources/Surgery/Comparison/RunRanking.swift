import OrderedJSON

/// Which of two runs ended better, and by how much.
package struct RunRanking: Sendable {
    /// A quantity at the end of both runs.
    package struct Difference: Sendable {
        package let quantity: RunQuantity
        package let a: Double
        package let b: Double
        /// The standard error of the difference.
        package let error: Double

        /// Whether the difference is more than chance and more than a trifle.
        package var isClear: Bool { abs(b - a) > max(2 * error, quantity.smallestChange(from: a)) }
    }

    package enum Winner: String, Sendable { case a, b, neither }

    /// The quantities that both runs logged.
    package let differences: [Difference]
    /// The quantity that decides: the first that differs clearly; nil if no quantity of both runs can.
    package let criterion: Difference?

    /// Compares the ends of two runs.
    package init(_ a: RunStory, _ b: RunStory) {
        let differences = RunQuantity.allCases.compactMap { quantity -> Difference? in
            guard let left = a[quantity], let right = b[quantity] else { return nil }
            let squares = left.errorAfter * left.errorAfter + right.errorAfter * right.errorAfter
            return Difference(quantity: quantity, a: left.after, b: right.after, error: squares.squareRoot())
        }
        self.differences = differences
        let criteria = RunQuantity.criteria.compactMap { quantity in differences.first { $0.quantity == quantity } }
        criterion = criteria.first(where: \.isClear) ?? criteria.first
    }

    package var winner: Winner {
        guard let criterion, criterion.isClear else { return .neither }
        return (criterion.b > criterion.a) == criterion.quantity.isLoss ? .a : .b
    }
}

extension RunStory {
    /// See `schemas/diff-report.schema.json`.
    var json: JSON {
        [
            "changes": .array(
                changes.map {
                    [
                        "quantity": .string($0.quantity.rawValue), "before": .double($0.before),
                        "after": .double($0.after), "error": .double($0.error), "steps": .integer($0.stepCount),
                        "clear": .bool($0.isClear),
                    ]
                }),
            "levels": .array(
                levels.map {
                    [
                        "level": .string($0.name), "before": .double($0.before), "after": .double($0.after),
                        "choice": .string($0.choice.rawValue),
                    ]
                }),
            "still": .bool(!stillness.isEmpty),
        ]
    }
}
