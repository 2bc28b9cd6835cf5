/// One pair as it is trained: think, then short, both behind the same prompt.
struct TrainingPair: Sendable {
    let id: String
    let sequences: [TrainingSequence]

    var tokens: Int { sequences.reduce(0) { $0 + $1.count } }

    /// The half that a sequence of a batch of pairs is, for a message.
    static func half(_ sequence: Int) -> String { sequence % 2 == 0 ? "think" : "short" }
}

/// What reading the data of a warm-up came to.
public struct SFTDataSummary: Sendable {
    public internal(set) var pairs = 0
    /// Left out since one of their halves is missing.
    public internal(set) var incomplete = 0
    public internal(set) var droppedOverlong = 0
    public internal(set) var clippedOverlong = 0
    public internal(set) var heldOutForProbe = 0
    /// Held out since the evaluation has their problems.
    public internal(set) var heldOutForEvaluation = 0
    /// Held-out pairs that the loss is measured on.
    public internal(set) var evaluated = 0
}

/// Pairs as ids, those to train on and those held out, and what was left out.
struct SFTData {
    private(set) var pairs: [TrainingPair] = []
    private(set) var summary = SFTDataSummary()
    /// Complete pairs that are not trained on.
    private(set) var heldOut: [TrainingPair] = []
    /// Their problems; those of the probe where there are no such pairs.
    private(set) var heldOutProblems: [Problem] = []

    /// - Parameters:
    ///   - probe: problems that are kept out of training; pairs of them are held out.
    ///   - evaluation: pairs to hold out in their place.
    /// - Throws: `TrainingFailure.emptyData`; errors of the encoder.
    init(
        _ data: [Pair], evaluation: [Pair]?, probe: [Problem], encoder: PromptEncoder, options: SFTOptions
    ) throws {
        let probeTexts = Set(probe.map(\.problem))
        let evaluationTexts = Set((evaluation ?? []).map(\.problem))
        var held: [Pair] = []
        for pair in data {
            if probeTexts.contains(pair.problem) {
                summary.heldOutForProbe += 1
                held.append(pair)
            } else if evaluationTexts.contains(pair.problem) {
                summary.heldOutForEvaluation += 1
            } else if let pair = try Self.encoded(pair, encoder, options, &summary) {
                pairs.append(pair)
            }
        }
        summary.pairs = pairs.count
        guard !pairs.isEmpty else {
            throw TrainingFailure.emptyData(
                data.isEmpty
                    ? "the data holds no pairs"
                    : "no pair is left to train on: \(summary.incomplete) miss a half (two rows of one prompt make a "
                        + "pair, one answer beginning with <think> and one with <short>), \(summary.droppedOverlong) of "
                        + "\(data.count) are longer than \(options.maximumLength) tokens (--max-length), "
                        + "\(summary.heldOutForProbe) are kept for the probe, \(summary.heldOutForEvaluation) for evaluation"
            )
        }
        var ignored = SFTDataSummary()
        for pair in evaluation ?? held {
            guard let encoded = try Self.encoded(pair, encoder, options, &ignored) else { continue }
            heldOut.append(encoded)
            heldOutProblems.append(Problem(asking: pair))
        }
        if heldOutProblems.isEmpty { heldOutProblems = probe }
        summary.evaluated = heldOut.count
    }

    /// nil where the pair is incomplete or too long.
    private static func encoded(
        _ pair: Pair, _ encoder: PromptEncoder, _ options: SFTOptions, _ summary: inout SFTDataSummary
    ) throws -> TrainingPair? {
        guard let think = pair.think, let short = pair.short else {
            summary.incomplete += 1
            return nil
        }
        let prompt = try encoder.prompt(for: pair.problem)
        var halves = [
            TrainingSequence(prompt: prompt, response: encoder.response(think)),
            TrainingSequence(prompt: prompt, response: encoder.response(short: short)),
        ]
        if halves.contains(where: { $0.count > options.maximumLength }) {
            guard options.overlong == .clip, prompt.count < options.maximumLength else {
                summary.droppedOverlong += 1
                return nil
            }
            summary.clippedOverlong += 1
            for index in halves.indices {
                halves[index].response = Array(halves[index].response.prefix(options.maximumLength - prompt.count))
            }
        }
        return TrainingPair(id: pair.id, sequences: halves)
    }
}

extension Problem {
    /// The question of a pair, without its answers.
    init(asking pair: Pair) {
        self.init(id: pair.id, problem: pair.problem, answer: pair.answer, level: pair.level)
    }
}
