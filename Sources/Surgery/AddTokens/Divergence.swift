import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import Transformer

/// Measures the KL divergence between a model's predictions before and after new rows are added.
///
/// No probe text contains a new token, so the hidden states are equal before and after, and one forward pass of a model
/// with the old and the new rows suffices.
struct Divergence {
    private let parameters: ModelParameters
    private let plan: VocabularyPlan
    private let fresh: [PlannedToken]
    /// The index of a replaced row's old values, which are appended to the matrix.
    private let oldRow: [Int: Int]

    /// Loads the weights as float32 with the new rows in place and the old values of replaced rows appended.
    init(_ input: CheckpointFile, plan: VocabularyPlan, config: JSON, embedding: EditedRows, head: EditedRows?) throws {
        fresh = plan.freshTokens
        self.plan = plan
        let replaced = fresh.filter { $0.id < plan.rowsBefore }.map(\.id)
        oldRow = Dictionary(
            uniqueKeysWithValues: replaced.enumerated().map { ($0.element, plan.rowsAfter + $0.offset) })
        var config = config
        config["vocab_size"] = .integer(plan.rowsAfter + replaced.count)
        let edited = [VocabularyTensors.embeddingName: embedding, VocabularyTensors.headName: head]
        let oldRow = oldRow
        parameters = try ModelParameters(try ModelConfiguration(json: config.serialized())) { parameter, values in
            guard let rows = edited[parameter.name], let rows else {
                return try input.readFloat32(parameter.name, into: values)
            }
            try Self.fill(values, with: rows, oldRow: oldRow)
        }
    }

    /// Fills a matrix with the old rows, copies of the replaced rows at the end, and the new rows in their places.
    private static func fill(
        _ values: UnsafeMutableBufferPointer<Float>, with rows: EditedRows, oldRow: [Int: Int]
    ) throws {
        let width = rows.old.columns
        try rows.old.readRows(
            0..<rows.old.rows, into: UnsafeMutableBufferPointer(rebasing: values[..<(rows.old.rows * width)]))
        for (row, place) in oldRow {
            for column in 0..<width { values[place * width + column] = values[row * width + column] }
        }
        for (row, bytes) in rows.replacements {
            try bytes.withUnsafeBytes {
                try ElementConversion.toFloat32(
                    $0, rows.old.description.elementType,
                    into: UnsafeMutableBufferPointer(rebasing: values[row * width..<(row + 1) * width]))
            }
        }
    }

    /// Plain text, for positions that are not the start of an answer.
    private static let passages = [
        "The river rises in the hills to the north and reaches the sea after two hundred miles. Its water turned the "
            + "wheels of the first mills in the valley.",
        "def area(width, height):\n    return width * height\n\nprint(area(4, 9))\n",
    ]

    /// Measures the divergence at the first response position and elsewhere.
    func measure(template: String?, variables: [String: JSON]) throws -> DivergenceReport {
        let prompts = try FirstAnswerToken.prompts(
            tokenizer: plan.tokenizer, template: template, variables: variables
        ).filter { !$0.isEmpty }
        let passages = Self.passages.map { plan.tokenizer.encode($0) }.filter { !$0.isEmpty }
        let batch = PackedBatch(prompts + passages)
        try parameters.configuration.check(batch.tokens)
        let first = batch.offsets.dropFirst().prefix(prompts.count).map { $0 - 1 }
        let others = batch.tokens.indices.filter { !first.contains($0) }
        // About 96 positions: enough for a mean, while their logits fit in memory beside the model.
        let elsewhere = stride(from: 0, to: others.count, by: max(1, others.count / 96)).map { others[$0] }
        let logits = Model(parameters).logits(batch, positions: first + elsewhere)
        let all = logits.map(divergence)
        let atFirst = all.prefix(first.count)
        return DivergenceReport(
            firstResponsePosition: Self.place(Array(atFirst)), elsewhere: Self.place(Array(all.dropFirst(first.count))),
            meanRowBound: log(1 + Double(fresh.count) / Double(plan.rowsBefore)),
            controlProbabilities: fresh.enumerated().map { index, token in
                (token.content, average(atFirst.map { $0.probabilities[index] }))
            })
    }

    /// KL(before ‖ after) in nats at one position, and the probability of each new token.
    private func divergence(_ logits: [Float]) -> (divergence: Double, probabilities: [Double]) {
        func before(_ row: Int) -> Double { Double(logits[oldRow[row] ?? row]) }
        let highest = Double(logits.max() ?? 0)
        var oldTotal = 0.0
        var newTotal = 0.0
        for row in 0..<plan.rowsAfter {
            newTotal += exp(Double(logits[row]) - highest)
            if row < plan.rowsBefore { oldTotal += exp(before(row) - highest) }
        }
        let oldLog = highest + log(oldTotal)
        let newLog = highest + log(newTotal)
        var divergence = 0.0
        for row in 0..<plan.rowsBefore {
            let logOld = before(row) - oldLog
            divergence += exp(logOld) * (logOld - (Double(logits[row]) - newLog))
        }
        // Rounding can make the sum slightly negative.
        return (max(divergence, 0), fresh.map { exp(Double(logits[$0.id]) - newLog) })
    }

    private static func place(_ positions: [(divergence: Double, probabilities: [Double])]) -> PositionStatistics {
        PositionStatistics(
            positionCount: positions.count, mean: average(positions.map(\.divergence)),
            largest: positions.map(\.divergence).max() ?? .nan,
            newTokenProbability: average(positions.map { $0.probabilities.reduce(0, +) }))
    }
}
