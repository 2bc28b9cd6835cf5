import Transformer

/// A prompt with its response, as ids; the response is what is scored.
public struct TrainingSequence: Sendable {
    public var prompt: [Int]
    /// Control token first, end token last.
    public var response: [Int]

    public init(prompt: [Int], response: [Int]) {
        self.prompt = prompt
        self.response = response
    }

    public var count: Int { prompt.count + response.count }
}

/// Some sequences packed for one forward and backward pass, and where their response tokens are scored.
///
/// Neighbours with the same prompt (a group's samples, the halves of a pair) share it: it is computed once.
struct PackedSequences {
    let batch: PackedBatch
    let positions: [ScoredPosition]
    /// For each scored position, the index of its sequence (into what was packed) and of its token in the response.
    let owners: [(sequence: Int, token: Int)]

    /// - Parameter indices: which of `sequences` to pack, in this order.
    init(_ sequences: [TrainingSequence], indices: [Int]) {
        var batch = PackedBatch()
        var positions: [ScoredPosition] = []
        var owners: [(sequence: Int, token: Int)] = []
        var shared: (prompt: [Int], segment: Int)?
        for index in indices {
            let sequence = sequences[index]
            if shared?.prompt != sequence.prompt { shared = (sequence.prompt, batch.append(sequence.prompt)) }
            guard let prompt = shared?.segment else { continue }
            let lastOfPrompt = batch.range(of: prompt).upperBound - 1
            // The last token of a response predicts nothing that is scored, so it is left out.
            let scored = sequence.response.dropLast()
            let start = batch.tokens.count
            if !scored.isEmpty { batch.append(Array(scored), continuing: prompt) }
            for (token, target) in sequence.response.enumerated() {
                // The logits at a position score the token that follows it.
                positions.append(
                    ScoredPosition(position: token == 0 ? lastOfPrompt : start + token - 1, target: target))
                owners.append((index, token))
            }
        }
        self.batch = batch
        self.positions = positions
        self.owners = owners
    }

    /// Cuts indices into runs of at most `budget` tokens, one sequence at least.
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
