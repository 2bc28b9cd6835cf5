import Foundation
import OrderedJSON
import Transformer

/// What a warm-up is judged by: loss by mode on pairs it was not trained on, and what the model writes when either mode
/// is forced.
package struct HeldOutCheck {
    /// Both halves of each pair, think, then short.
    let sequences: [TrainingSequence]
    let problems: [Problem]
    let options: Options

    struct Options {
        /// Problems that are sampled with both modes forced.
        var sampled: Int
        var maximumNewTokens: Int
        var rule: AnswerRule
        var seed: UInt64
        var microBatchTokens: Int
    }

    /// What forcing a mode brought.
    package struct Forced: Equatable {
        package var count = 0
        package var tokens = 0.0
        /// Of samples with a known truth; NaN without any.
        package var accuracy = Double.nan
        /// Share that ended and has the form of its mode: working and one `</think>`, or no `</think>` at all.
        package var wellFormed = 0.0

        package init() {}
    }

    /// Means over the tokens of the held-out pairs; empty without pairs.
    func losses(_ model: Model) -> [(name: String, value: Double)] {
        guard !sequences.isEmpty else { return [] }
        var sums = (think: 0.0, short: 0.0, control: 0.0)
        var counts = (think: 0, short: 0)
        for indices in PackedSequences.microBatches(
            sequences, indices: Array(sequences.indices), tokenBudget: options.microBatchTokens)
        {
            let packed = PackedSequences(sequences, indices: indices)
            let scores = model.score(packed.batch, packed.positions)
            for (owner, logProbability) in zip(packed.owners, scores.logProbabilities) {
                let loss = -Double(logProbability)
                if owner.token == 0 { sums.control += loss }
                if owner.sequence % 2 == 0 {
                    sums.think += loss
                    counts.think += 1
                } else {
                    sums.short += loss
                    counts.short += 1
                }
            }
        }
        return [
            ("eval_loss", (sums.think + sums.short) / Double(counts.think + counts.short)),
            ("eval_think_loss", sums.think / Double(counts.think)),
            ("eval_short_loss", sums.short / Double(counts.short)),
            ("eval_control_loss", sums.control / Double(sequences.count)),
        ]
    }

    /// Samples at temperature 1, the policy that reinforcement learning starts from.
    func forced(_ mode: Mode, _ model: Model, _ encoder: PromptEncoder) throws -> Forced {
        let chosen = Array(problems.prefix(options.sampled))
        guard !chosen.isEmpty else { return Forced() }
        let requests = try chosen.enumerated().map { index, problem in
            GenerationRequest(
                prompt: try encoder.prompt(for: problem.problem), promptKey: index,
                forcedFirstToken: encoder.control[mode])
        }
        let completions = Generator(model).generate(
            requests,
            SamplingOptions(
                maximumNewTokens: options.maximumNewTokens, stopTokens: encoder.stopTokens, seed: options.seed)
        ).compactMap(\.first)
        var (graded, right, formed, tokens) = (0, 0, 0, 0)
        for (problem, completion) in zip(chosen, completions) {
            let query = encoder.query(problem, response: completion.tokens)
            let isFormed =
                query.form.defect == nil && !query.form.isTruncated
                && (mode == .short
                    || !encoder.tokenizer.decode(completion.tokens[query.form.working]).trimmed.isEmpty)
            formed += isFormed ? 1 : 0
            tokens += completion.tokens.count
            guard let truth = problem.answer else { continue }
            graded += 1
            let answer = AnswerExtraction.answer(in: query.answerText, rule: options.rule)
            right += isFormed && answer.map { MathGrader.areEquivalent($0, truth) } == true ? 1 : 0
        }
        let count = Double(chosen.count)
        var forced = Forced()
        (forced.count, forced.tokens, forced.wellFormed) = (
            chosen.count, Double(tokens) / count, Double(formed) / count
        )
        if graded > 0 { forced.accuracy = Double(right) / Double(graded) }
        return forced
    }
}

/// Whether a warmed-up model is ready for reinforcement learning, and why not.
public struct Readiness: Sendable, Equatable {
    /// Empty where it is ready.
    public let shortcomings: [String]

    /// A mode under this probability is seldom sampled, so the choice can hardly be learned.
    static let leastModeShare = 0.1
    /// Other first tokens are malformed answers.
    static let leastControlShare = 0.9
    /// Forced thinking shorter than that many times forced short answers is no other mode.
    static let leastLengthRatio = 1.2
    static let leastWellFormed = 0.5

    /// - Parameters:
    ///   - pThink: mean P(`<think>`) as first token over the probe, and `pShort` likewise; NaN without a probe.
    ///   - think: what forcing the mode brought; nil where nothing was sampled.
    package init(pThink: Double, pShort: Double, think: HeldOutCheck.Forced?, short: HeldOutCheck.Forced?) {
        var shortcomings: [String] = []
        func percent(_ share: Double) -> String { String(format: "%.3g %%", share * 100) }
        if pThink.isFinite, pShort.isFinite {
            for (name, share) in [("<think>", pThink), ("<short>", pShort)] where share < Self.leastModeShare {
                shortcomings.append("P(\(name)) is \(percent(share)), under 10 %: that mode would hardly be tried")
            }
            if pThink + pShort < Self.leastControlShare {
                shortcomings.append(
                    "the first token is no control token in \(percent(1 - pThink - pShort)) of answers")
            }
        }
        if let think, let short, think.count > 0, short.count > 0 {
            func number(_ value: Double) -> String { String(format: "%.3g", value) }
            if think.tokens < Self.leastLengthRatio * short.tokens {
                shortcomings.append(
                    "forced modes answer alike: \(number(think.tokens)) tokens after <think>, \(number(short.tokens)) "
                        + "after <short>")
            }
            for (name, forced) in [("<think>", think), ("<short>", short)]
            where forced.wellFormed < Self.leastWellFormed {
                shortcomings.append(
                    "only \(percent(forced.wellFormed)) of the answers after a forced \(name) are complete and well formed"
                )
            }
        }
        self.shortcomings = shortcomings
    }
}
