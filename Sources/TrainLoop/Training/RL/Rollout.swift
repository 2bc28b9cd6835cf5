import OrderedJSON
import Transformer

/// One sampled response with its verdict and advantage.
struct Rollout: Sendable {
    /// The index of the response in its group.
    let sample: Int
    let sequence: TrainingSequence
    /// The log-probabilities of the response's tokens at the sampling temperature, under the model that sampled them
    /// or, if a server did, under our own at that time.
    let logProbabilities: [Float]
    let form: ResponseForm
    let verdict: Verdict
    let advantage: Double
    /// Whether the control token was forced instead of sampled.
    let isForced: Bool
    /// What the server that sampled the response says of its tokens; nil if it was sampled here.
    var server: ServerScores?
    /// The denominators of the ratio, if a step makes several updates.
    var oldLogProbabilities: [Double]?
    /// The log-probabilities under the reference policy, if there is one.
    var referenceLogProbabilities: [Double]?

    var mode: Mode? { form.mode }
    var isCorrect: Bool { verdict.outcome == .right }
    var tokenCount: Int { sequence.response.count }
}

/// The responses to one prompt, whose advantages are relative to each other.
struct RolloutGroup: Sendable {
    let problem: Problem
    /// P(`<think>`) and P(`<short>`) as first token at temperature 1, under the policy that sampled.
    let firstToken: (think: Double, short: Double)
    var rollouts: [Rollout]
    /// False if a fresh prompt takes the place of this group in the loss.
    var isKept = true

    /// Whether some response was rewarded more than another; without spread a group has no gradient.
    var hasSpread: Bool { rollouts.contains { $0.advantage != 0 } }

    /// The rows of the rollout log, with what `ckpt grade` needs to judge as `reward` did.
    ///
    /// `isDetailed` includes token ids and log-probabilities.
    func rows(step: Int, encoder: PromptEncoder, reward: RewardOptions, isDetailed: Bool) -> [JSON] {
        rollouts.map { rollout in
            func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
            let verdict = rollout.verdict
            let question: [(String, JSON)] = [
                ("step", .integer(step)), ("id", .string(problem.id)), ("level", text(problem.level)),
                ("sample", .integer(rollout.sample)), ("problem", .string(problem.problem)),
                ("answer", text(problem.answer)),
                ("completion", .string(encoder.text(of: rollout.sequence.response))),
            ]
            let judgement: [(String, JSON)] = [
                ("mode", text(rollout.mode?.rawValue)), ("forced", .bool(rollout.isForced)),
                ("outcome", .string(verdict.outcome.rawValue)), ("defect", text(verdict.defect?.rawValue)),
                ("found", text(verdict.answer)), ("reward", .double(verdict.reward)),
                ("advantage", .double(rollout.advantage)), ("tokens", .integer(rollout.tokenCount)),
                ("truncated", .bool(rollout.form.isTruncated)), ("in_loss", .bool(isKept)),
                ("p_think", .double(firstToken.think)), ("p_short", .double(firstToken.short)),
                ("answer_rule", .string(reward.answerRule.rawValue)), ("reward_source", .string(reward.source.name)),
            ]
            var row = JSONObject(question + judgement)
            if isDetailed {
                row["token_ids"] = .array(rollout.sequence.response.map { .integer($0) })
                row["log_probabilities"] = .array(rollout.logProbabilities.map { .double(Double($0)) })
                if let server = rollout.server {
                    row["server_log_probabilities"] = .array(server.logProbabilities.map { .double(Double($0)) })
                }
            }
            return .object(row)
        }
    }
}
