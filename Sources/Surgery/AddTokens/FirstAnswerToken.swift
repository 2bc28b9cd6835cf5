import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import Transformer

/// The token with which a model most likely starts an answer.
///
/// Its row is a good start for a control token, because the model already predicts it at that position.
struct FirstAnswerToken {
    let id: Int
    let text: String
    /// The mean probability over the probe questions.
    let probability: Double

    /// Questions of several kinds, so that no topic's typical opening dominates.
    static let questions = [
        "What is 17 + 25?",
        "A train travels 60 miles in 1.5 hours. What is its average speed?",
        "Solve for x: 2x + 3 = 11.",
        "Tom has 3 boxes with 12 apples each and gives away 7 apples. How many apples are left?",
        "What is the area of a rectangle with sides 4 and 9?",
        "Is 91 a prime number?",
    ]

    /// Runs one forward pass over the questions; loads the weights as float32.
    ///
    /// - Parameters:
    ///   - file: the model.
    ///   - tokenizer: encodes the prompts.
    ///   - template: the chat template, or nil for bare questions.
    ///   - variables: the template's variables.
    ///   - excluded: ids that must not be chosen: the control tokens.
    /// - Throws: `SurgeryError.unknownSource` if no token can be chosen, or an error of loading the model.
    init(
        _ file: CheckpointFile, tokenizer: Tokenizer, template: String?, variables: [String: JSON], excluded: Set<Int>
    ) throws {
        let prompts = try Self.prompts(tokenizer: tokenizer, template: template, variables: variables)
            .filter { !$0.isEmpty }
        guard !prompts.isEmpty else {
            throw SurgeryError.unknownSource(
                token: "auto", reason: "the tokenizer cannot encode the probe questions; give a token")
        }
        let parameters = try ModelParameters(file)
        let batch = PackedBatch(prompts)
        // An id without a row would read outside the matrices.
        try parameters.configuration.check(batch.tokens)
        let model = Model(parameters)
        let ends = batch.offsets.dropFirst().map { $0 - 1 }
        let special = Set(tokenizer.addedTokens.filter(\.special).map(\.id))
        var mean: [Double] = []
        for logits in model.logits(batch, positions: Array(ends)) {
            let probabilities = Self.softmax(logits)
            if mean.isEmpty { mean = [Double](repeating: 0, count: probabilities.count) }
            for index in probabilities.indices { mean[index] += probabilities[index] / Double(ends.count) }
        }
        let candidates = mean.indices.filter { id in
            !special.contains(id) && !excluded.contains(id) && tokenizer.token(of: id) != nil
        }
        guard let best = candidates.max(by: { mean[$0] < mean[$1] }), mean[best].isFinite else {
            throw SurgeryError.unknownSource(
                token: "auto", reason: "the model's probabilities are not finite; give a token")
        }
        id = best
        text = tokenizer.decode([best])
        probability = mean[best]
    }

    /// The ids of the probe questions as prompts.
    static func prompts(
        tokenizer: Tokenizer, template: String?, variables: [String: JSON]
    ) throws -> [[Int]] {
        let template = try template.map { try ChatTemplate($0) }
        let prompts = try questions.map { question in
            guard let template else { return tokenizer.encode(question + "\n", addSpecialTokens: true) }
            return tokenizer.encode(
                try template.render(
                    [ChatMessage(role: "user", content: question)], addGenerationPrompt: true, variables: variables))
        }
        try tokenizer.checkPatterns()
        return prompts
    }

    private static func softmax(_ logits: [Float]) -> [Double] {
        let highest = Double(logits.max() ?? 0)
        let powers = logits.map { exp(Double($0) - highest) }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
    }
}
