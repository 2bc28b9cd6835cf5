import Transformer

/// The token ids of a prompt and of its response; only the response is scored.
package struct TrainingSequence: Sendable {
    package var prompt: [Int]
    /// Starts with the control token and ends with the end token.
    package var response: [Int]

    package init(prompt: [Int], response: [Int]) {
        self.prompt = prompt
        self.response = response
    }

    package var count: Int { prompt.count + response.count }
}

/// Sequences packed for one forward and backward pass, with the positions that score their response tokens.
///
/// Adjacent sequences with the same prompt (samples of a group, both responses of a pair) share it: it is computed
/// once. So are the first tokens of all prompts, such as a system prompt, where the model allows it.
struct PackedSequences {
    let batch: PackedBatch
    let positions: [ScoredPosition]
    /// For each scored position, the index into the sequences and the index of the token in the response.
    let owners: [(sequence: Int, token: Int)]

    /// - Parameters:
    ///   - sequences: all sequences.
    ///   - indices: the sequences to pack, in this order.
    ///   - model: the model that computes them.
    init(_ sequences: [TrainingSequence], indices: [Int], for model: Model) {
        var batch = PackedBatch()
        let prefix = model.sharesPrefixes ? Self.sharedPrefix(indices.map { sequences[$0] }) : 0
        let root = prefix > 0 ? batch.append(Array(sequences[indices[0]].prompt[..<prefix])) : nil
        var positions: [ScoredPosition] = []
        var owners: [(sequence: Int, token: Int)] = []
        var shared: (prompt: [Int], segment: Int)?
        for index in indices {
            let sequence = sequences[index]
            if shared?.prompt != sequence.prompt {
                shared = (sequence.prompt, batch.append(Array(sequence.prompt[prefix...]), continuing: root))
            }
            guard let prompt = shared?.segment else { continue }
            let lastOfPrompt = batch.range(of: prompt).upperBound - 1
            // No token after the last one is scored, so the last one needs no forward pass.
            let scored = sequence.response.dropLast()
            let start = batch.tokens.count
            if !scored.isEmpty { batch.append(Array(scored), continuing: prompt) }
            for (token, target) in sequence.response.enumerated() {
                // The logits at a position score the next token.
                positions.append(
                    ScoredPosition(position: token == 0 ? lastOfPrompt : start + token - 1, target: target))
                owners.append((index, token))
            }
        }
        self.batch = batch
        self.positions = positions
        self.owners = owners
    }

    /// The number of first tokens of all prompts that are computed once; 0 if that saves less than 1 of 25 tokens.
    ///
    /// The gradients of keys that all sequences share are summed by one thread for each head.
    private static func sharedPrefix(_ sequences: [TrainingSequence]) -> Int {
        let prompts = sequences.indices.filter { $0 == 0 || sequences[$0].prompt != sequences[$0 - 1].prompt }
            .map { sequences[$0].prompt }
        let prefix = PackedBatch.sharedPrefix(of: prompts)
        let tokens = sequences.reduce(0) { $0 + $1.response.count } + prompts.reduce(0) { $0 + $1.count }
        return prefix * (prompts.count - 1) * 25 >= tokens ? prefix : 0
    }

    /// Splits indices into micro-batches of at most `budget` tokens, each with at least one sequence.
    static func microBatches(_ sequences: [TrainingSequence], indices: [Int], tokenBudget budget: Int) -> [[Int]] {
        var batches: [[Int]] = []
        var tokens = 0
        for index in indices {
            let count = sequences[index].count
            if batches.isEmpty || tokens + count > budget {
                batches.append([])
                tokens = 0
            }
            batches[batches.count - 1].append(index)
            tokens += count
        }
        return batches
    }
}
