import Foundation
import OrderedJSON
import Transformer

/// One sampled response with what became of it.
public struct Rollout: Sendable {
    public var sample: Int
    public var sequence: TrainingSequence
    /// Of the sampled tokens, at the rollout's temperature.
    public var logProbabilities: [Float]
    public var form: ResponseForm
    public var verdict: Verdict
    public var advantage: Double
    /// Its control token was put in, not sampled.
    public var isForced: Bool

    public var mode: Mode? { form.mode }
    public var isCorrect: Bool { verdict.outcome == .right }
    public var tokenCount: Int { sequence.response.count }
}

/// The samples of one prompt, among which advantages are taken.
public struct RolloutGroup: Sendable {
    public var problem: Problem
    /// P(`<think>`) and P(`<short>`) as first token at temperature 1, of the policy that sampled.
    public var firstToken: (think: Double, short: Double)
    public var rollouts: [Rollout]
    /// False where a fresh prompt took its place in the loss.
    public var isKept = true

    /// Some sample did better than another; otherwise the group says nothing.
    public var hasSpread: Bool { rollouts.contains { $0.advantage != 0 } }

    /// The rows of the rollout log.
    ///
    /// - Parameter detailed: token ids and log-probabilities too.
    func rows(step: Int, encoder: PromptEncoder, detailed: Bool) -> [JSON] {
        rollouts.map { rollout in
            func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
            let verdict = rollout.verdict
            let who: [(String, JSON)] = [
                ("step", .integer(step)), ("id", .string(problem.id)), ("level", text(problem.level)),
                ("sample", .integer(rollout.sample)), ("problem", .string(problem.problem)),
                ("answer", text(problem.answer)),
                ("completion", .string(encoder.text(of: rollout.sequence.response))),
            ]
            let what: [(String, JSON)] = [
                ("mode", text(rollout.mode?.rawValue)), ("forced", .bool(rollout.isForced)),
                ("outcome", .string(verdict.outcome.rawValue)), ("defect", text(verdict.defect?.rawValue)),
                ("found", text(verdict.answer)), ("reward", .double(verdict.reward)),
                ("advantage", .double(rollout.advantage)), ("tokens", .integer(rollout.tokenCount)),
                ("truncated", .bool(rollout.form.isTruncated)), ("in_loss", .bool(isKept)),
                ("p_think", .double(firstToken.think)), ("p_short", .double(firstToken.short)),
            ]
            var row = JSONObject(who + what)
            if detailed {
                row["token_ids"] = .array(rollout.sequence.response.map { .integer($0) })
                row["log_probabilities"] = .array(rollout.logProbabilities.map { .double(Double($0)) })
            }
            return .object(row)
        }
    }
}
