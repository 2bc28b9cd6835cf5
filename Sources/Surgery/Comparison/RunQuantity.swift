/// A number by which a training run is judged, and the names under which trainers log it.
package enum RunQuantity: String, Sendable, CaseIterable {
    case thinkShare = "think_share"
    case accuracy
    case accuracyThink = "accuracy_think"
    case accuracyShort = "accuracy_short"
    case tokens
    case tokensThink = "tokens_think"
    case tokensShort = "tokens_short"
    case reward
    case heldOutLoss = "held_out_loss"
    case loss

    /// Those by which a run is called better, the most telling first.
    package static let criteria: [RunQuantity] = [.accuracy, .reward, .heldOutLoss, .loss]

    /// The metric's names in the logs of ckpt, verl, TRL and prime-rl; the first that a log has counts.
    ///
    /// `thinkShare` is computed from counts where a log has them.
    private var metrics: [String] {
        switch self {
        case .thinkShare: ["eval_think_share", "p_think_mean"]
        case .accuracy: ["acc", "eval_acc"]
        case .accuracyThink: ["acc_think", "eval_acc_think"]
        case .accuracyShort: ["acc_short", "eval_acc_short"]
        case .tokens:
            [
                "response_length_mean", "eval_tokens", "response_length/mean", "completions/mean_length",
                "completion_length", "seq_len/all/mean",
            ]
        case .tokensThink: ["response_length_think", "eval_tokens_think"]
        case .tokensShort: ["response_length_short", "eval_tokens_short"]
        case .reward:
            [
                "reward_mean", "critic/score/mean", "critic/rewards/mean", "reward", "reward/all/mean", "reward/mean",
            ]
        case .heldOutLoss: ["eval_loss", "eval/loss", "val/loss", "val_loss"]
        case .loss: ["loss", "loss/mean"]
        }
    }

    /// The metric of a log that gives this quantity; nil if none does.
    func metric(in names: [String]) -> String? {
        if let name = Self.first(of: metrics, in: names) { return name }
        // Reward functions of TRL and data sets of verl have names of their own.
        guard self == .accuracy else { return nil }
        return names.first { name in
            let name = name.lowercased()
            return name.hasPrefix("rewards/") && name.hasSuffix("/mean")
                && (name.contains("accuracy") || name.contains("correct"))
                || name.hasPrefix("val-core/") && name.contains("/acc/mean")
        }
    }

    /// The first of several names that a log has, also after the `train/` of transformers' reports.
    static func first(of aliases: [String], in names: [String]) -> String? {
        let names = Set(names)
        return aliases.lazy.flatMap { [$0, "train/" + $0] }.first(where: names.contains)
    }

    /// Whether it is a share of 1.
    package var isShare: Bool {
        switch self {
        case .thinkShare, .accuracy, .accuracyThink, .accuracyShort: true
        default: false
        }
    }

    /// Whether less is better.
    package var isLoss: Bool { self == .heldOutLoss || self == .loss }

    /// The smallest change that counts, whatever the spread of the steps.
    func smallestChange(from value: Double) -> Double { isShare ? 0.01 : abs(value) * 0.01 }
}
