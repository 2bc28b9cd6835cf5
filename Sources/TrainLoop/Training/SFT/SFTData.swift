import CheckpointIO

/// The input of a warm-up besides the checkpoint that it starts from.
package struct SFTInputs {
    package var pairs: [Pair]
    /// The digest of the file of `pairs`, by which a resumed run recognises it.
    package var dataDigest: String
    /// The problems of the mode probe; nil: those that the checkpoint carries, or some chosen from `pairs`.
    package var probe: [Problem]?
    /// Pairs to measure on, and the digest of their file; nil: the pairs of the data whose problems are in the probe.
    package var evaluation: (pairs: [Pair], digest: String)?
    /// Whether a new run may train on samples beyond the model's positions.
    package var allowsLong = false

    package init(pairs: [Pair], dataDigest: String) {
        self.pairs = pairs
        self.dataDigest = dataDigest
    }
}

/// Counts of the pairs that were read for a warm-up.
package struct SFTDataSummary: Sendable {
    package fileprivate(set) var pairs = 0
    /// Pairs without one of their halves, which are left out.
    package fileprivate(set) var incomplete = 0
    package fileprivate(set) var droppedOverlong = 0
    package fileprivate(set) var clippedOverlong = 0
    /// Pairs that exceed the positions of the model, but not the largest length that was given.
    package fileprivate(set) var beyondPositions = 0
    /// The positions of the model.
    package fileprivate(set) var positions = 0
    package fileprivate(set) var heldOutForProbe = 0
    package fileprivate(set) var heldOutForEvaluation = 0
}

/// One pair ready for training: think, then short, both with the same prompt.
struct TrainingPair: Sendable {
    let id: String
    let sequences: [TrainingSequence]

    var tokens: Int { sequences.reduce(0) { $0 + $1.count } }

    /// The half that a sequence of a batch is, for a message.
    static func half(_ sequence: Int) -> String { sequence % 2 == 0 ? "think" : "short" }
}

/// The encoded pairs of a warm-up: those to train on and those held out.
struct SFTData {
    private(set) var pairs: [TrainingPair] = []
    private(set) var summary = SFTDataSummary()
    private(set) var heldOut: [TrainingPair] = []
    /// The problems of `heldOut`, or those of the probe if there are no such pairs.
    private(set) var heldOutProblems: [Problem] = []

    /// Pairs of the probe's problems are kept out of training, and held out unless there are evaluation pairs.
    /// - Throws: `TrainingFailure.emptyData`, and errors of the encoder.
    init(_ inputs: SFTInputs, probe: [Problem], encoder: PromptEncoder, options: SFTDataOptions) throws {
        let probeTexts = Set(probe.map(\.promptText))
        let evaluationTexts = Set((inputs.evaluation?.pairs ?? []).map(\.promptText))
        var probed: [Pair] = []
        for pair in inputs.pairs {
            if probeTexts.contains(pair.promptText) {
                summary.heldOutForProbe += 1
                probed.append(pair)
            } else if evaluationTexts.contains(pair.promptText) {
                summary.heldOutForEvaluation += 1
            } else if let pair = try Self.encoded(pair, encoder, options, &summary) {
                pairs.append(pair)
            }
        }
        summary.pairs = pairs.count
        summary.positions = encoder.reader.positions
        guard !pairs.isEmpty else {
            let limiting = options.positions == nil ? "--max-length" : "the model's positions"
            throw TrainingFailure.emptyData(
                inputs.pairs.isEmpty
                    ? "the data holds no pairs"
                    : "no pair is left to train on: \(summary.incomplete) lack a half (two rows with the same prompt "
                        + "make a pair, one answer beginning with <think> and one with <short>), "
                        + "\(summary.droppedOverlong) of \(inputs.pairs.count) are longer than "
                        + "\(options.limit) tokens (\(limiting)), \(summary.heldOutForProbe) are kept for the "
                        + "probe, \(summary.heldOutForEvaluation) for evaluation")
        }
        var ignored = SFTDataSummary()
        for pair in inputs.evaluation?.pairs ?? probed {
            guard let encoded = try Self.encoded(pair, encoder, options, &ignored) else { continue }
            heldOut.append(encoded)
            heldOutProblems.append(pair.asProblem)
        }
        if heldOutProblems.isEmpty { heldOutProblems = probe }
    }

    /// The pair as ids; nil if it is incomplete or too long.
    private static func encoded(
        _ pair: Pair, _ encoder: PromptEncoder, _ options: SFTDataOptions, _ summary: inout SFTDataSummary
    ) throws -> TrainingPair? {
        guard let think = pair.think, let short = pair.short else {
            summary.incomplete += 1
            return nil
        }
        guard let prompt = try encoder.reader.promptIfShortEnough(for: pair.asProblem) else {
            summary.droppedOverlong += 1
            return nil
        }
        var halves = [
            TrainingSequence(prompt: prompt, response: encoder.response(think)),
            TrainingSequence(prompt: prompt, response: encoder.response(short: short)),
        ]
        try encoder.tokenizer.checkPatterns()
        let longest = halves.reduce(0) { max($0, $1.count) }
        if longest > encoder.reader.positions, longest <= options.maximumLength { summary.beyondPositions += 1 }
        if longest > options.limit {
            guard options.overlong == .clip, prompt.count < options.limit else {
                summary.droppedOverlong += 1
                return nil
            }
            summary.clippedOverlong += 1
            for index in halves.indices {
                halves[index].response = Array(halves[index].response.prefix(options.limit - prompt.count))
            }
        }
        return TrainingPair(id: pair.id, sequences: halves)
    }
}
