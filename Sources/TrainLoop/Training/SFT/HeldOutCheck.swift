import Foundation
import Ranks
import Transformer

/// Measures a warm-up on data it was not trained on: the loss by mode, and the answers when a mode is forced.
struct HeldOutCheck {
    /// Both halves of each held-out pair, think before short.
    let sequences: [TrainingSequence]
    let problems: [Problem]
    let options: SFTOptions

    /// Sums over the tokens of some held-out pairs.
    private struct Sums: Codable {
        var (think, short, control) = (0.0, 0.0, 0.0)
        var (thinkTokens, shortTokens) = (0, 0)
    }

    /// Mean losses over the tokens of the held-out pairs; empty without pairs.
    ///
    /// - Throws: `RankError`.
    func losses(_ model: Model, _ ranks: RankGroup) throws -> MetricRow {
        guard !sequences.isEmpty else { return [:] }
        let batches = PackedSequences.microBatches(
            sequences, indices: Array(sequences.indices), tokenBudget: options.optimizer.microBatchTokens)
        var all = Sums()
        for sums in try ranks.share(batches.count, { $0.map { self.sums(batches[$0], model) } }) {
            all.think += sums.think
            all.short += sums.short
            all.control += sums.control
            all.thinkTokens += sums.thinkTokens
            all.shortTokens += sums.shortTokens
        }
        return [
            "eval_loss": (all.think + all.short) / Double(all.thinkTokens + all.shortTokens),
            "eval_think_loss": all.think / Double(all.thinkTokens),
            "eval_short_loss": all.short / Double(all.shortTokens),
            "eval_control_loss": all.control / Double(sequences.count),
        ]
    }

    private func sums(_ indices: [Int], _ model: Model) -> Sums {
        var sums = Sums()
        let packed = PackedSequences(sequences, indices: indices, for: model)
        let scores = model.score(packed.batch, packed.positions)
        for (owner, logProbability) in zip(packed.owners, scores.logProbabilities) {
            let loss = -Double(logProbability)
            if owner.token == 0 { sums.control += loss }
            if owner.sequence % 2 == 0 {
                sums.think += loss
                sums.thinkTokens += 1
            } else {
                sums.short += loss
                sums.shortTokens += 1
            }
        }
        return sums
    }

    /// Samples some of the problems with a mode forced, at temperature 1, the policy that reinforcement learning starts
    /// from; nil if there are none.
    ///
    /// - Throws: errors of the encoder, `RankError`.
    func forced(
        _ mode: Mode, _ model: Model, _ encoder: PromptEncoder, _ ranks: RankGroup
    ) throws -> ForcedModeResult? {
        let chosen = Array(problems.prefix(options.evaluation.problems))
        guard !chosen.isEmpty else { return nil }
        let requests = try chosen.enumerated().map { index, problem in
            GenerationRequest(
                prompt: try encoder.prompt(for: problem.problem, after: problem.context), promptKey: index,
                forcedFirstToken: encoder.control[mode])
        }
        let longest = requests.reduce(0) { max($0, $1.prompt.count) }
        let fitting = max(1, encoder.reader.positions - longest)
        let sampling = SamplingOptions(
            maximumNewTokens: min(options.evaluation.maximumNewTokens, fitting), stopTokens: encoder.stopTokens,
            seed: options.run.seed)
        let completions = try ranks.share(requests.count) { own in
            Generator(model).generate(own.map { requests[$0] }, sampling).map { $0[0] }
        }
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
            let answer = AnswerExtraction.answer(in: query.answerText, rule: options.evaluation.answerRule)
            right += isFormed && answer.map { MathGrader.areEquivalent($0, truth) } == true ? 1 : 0
        }
        let count = Double(chosen.count)
        return ForcedModeResult(
            tokens: Double(tokens) / count, accuracy: graded > 0 ? Double(right) / Double(graded) : .nan,
            wellFormed: Double(formed) / count)
    }
}

/// The answers to held-out problems with one mode forced.
package struct ForcedModeResult: Equatable {
    /// Mean tokens of an answer.
    let tokens: Double
    /// The share of right answers among problems with a known answer; NaN without any.
    let accuracy: Double
    /// The share of answers that are complete and have the form of their mode: working and one `</think>`, or no
    /// `</think>` at all.
    let wellFormed: Double

    package init(tokens: Double, accuracy: Double, wellFormed: Double) {
        self.tokens = tokens
        self.accuracy = accuracy
        self.wellFormed = wellFormed
    }

    func metrics(_ mode: Mode) -> MetricRow {
        ["eval_acc_\(mode)": accuracy, "eval_tokens_\(mode)": tokens, "eval_formed_\(mode)": wellFormed]
    }
}

/// Whether a warmed-up model is ready for reinforcement learning.
package struct Readiness: Sendable, Equatable {
    /// The reasons why it is not ready; empty if it is.
    package let shortcomings: [String]

    /// A mode with a lower probability is sampled too rarely for the choice to be learned.
    private static let minimumModeShare = 0.1
    /// Answers without a control token as first token are malformed.
    private static let minimumControlShare = 0.9
    /// Forced thinking must be at least this many times as long as forced short answers, or the modes do not differ.
    private static let minimumLengthRatio = 1.2
    private static let minimumWellFormedShare = 0.5

    /// - Parameters:
    ///   - pThink: mean P(`<think>`) as first token over the probe; NaN without a probe.
    ///   - pShort: the same for `<short>`.
    ///   - think: the answers with thinking forced; nil if none were sampled.
    ///   - short: the same for short answers.
    package init(pThink: Double, pShort: Double, think: ForcedModeResult?, short: ForcedModeResult?) {
        var shortcomings: [String] = []
        func percent(_ share: Double) -> String { String(format: "%.3g %%", share * 100) }
        if pThink.isFinite, pShort.isFinite {
            for (name, share) in [("<think>", pThink), ("<short>", pShort)] where share < Self.minimumModeShare {
                shortcomings.append("P(\(name)) is \(percent(share)), under 10 %: that mode would rarely be sampled")
            }
            if pThink + pShort < Self.minimumControlShare {
                shortcomings.append(
                    "the first token is not a control token in \(percent(1 - pThink - pShort)) of answers")
            }
        }
        if let think, let short {
            func number(_ value: Double) -> String { String(format: "%.3g", value) }
            if think.tokens < Self.minimumLengthRatio * short.tokens {
                shortcomings.append(
                    "forced modes answer alike: \(number(think.tokens)) tokens after <think>, \(number(short.tokens)) "
                        + "after <short>")
            }
            for (name, forced) in [("<think>", think), ("<short>", short)]
            where forced.wellFormed < Self.minimumWellFormedShare {
                shortcomings.append(
                    "only \(percent(forced.wellFormed)) of the answers after a forced \(name) are complete and well "
                        + "formed")
            }
        }
        self.shortcomings = shortcomings
    }
}
