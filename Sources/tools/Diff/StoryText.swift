import Surgery

/// What a run did, in sentences: verdict, changes, levels, and why nothing moved.
struct StoryText {
    let story: RunStory
    /// The mode that took over, and from which step on; nil if both are in use to the end.
    var collapse: (step: Int, mode: String)?
    /// The texts with which the modes begin; nil for thinking and answering at once.
    var modes: (think: String, short: String)?

    /// The verdict in a word or two, and the number that it rests on.
    var headline: (word: String, reason: String) {
        if let collapse {
            return ("COLLAPSED", "over 98 % of the responses in \(collapse.mode) mode from step \(collapse.step) on")
        }
        if case .fewSteps = story.stillness.first { return ("TOO FEW STEPS TO TELL", "") }
        guard story.stillness.isEmpty else { return ("DID NOT MOVE", "") }
        guard let criterion = story.criterion else { return ("TRAINED", "") }
        let reason = Self.text(criterion)
        guard criterion.isClear else { return ("TRAINED", reason + ", no clear change") }
        let isBetter = (criterion.after > criterion.before) != criterion.quantity.isLoss
        return (isBetter ? "IMPROVED" : "WORSE", reason)
    }

    /// The verdict as a sentence begins it.
    var heading: String { headline.word.prefix(1) + headline.word.dropFirst().lowercased() }

    /// The headline with its colour.
    var title: String {
        let (word, reason) = headline
        let color: Style =
            switch word {
            case "COLLAPSED", "WORSE": .red
            case "IMPROVED": .green
            default: .yellow
            }
        return Style.bold(color(word)) + (reason.isEmpty ? "" : "  " + reason)
    }

    var sentences: [String] { [changes, levels, use].compactMap(\.self) + reasons }

    /// Every quantity at the start and at the end.
    private var changes: String? {
        guard let count = story.changes.map(\.stepCount).max() else { return nil }
        let span = count == 1 ? "first → last step" : "mean of the first → last \(count) steps"
        return "\(span): " + story.changes.map(Self.text).joined(separator: ", ")
    }

    private var levels: String? {
        guard !story.levels.isEmpty else { return nil }
        var verbs: [(RunStory.Choice, String)] = [
            (.think, "thinks on"), (.mixed, "does both on"), (.short, "answers at once on"),
        ]
        if let modes, modes != RunCurve.Preference.controlTokens {
            verbs = [
                (.think, "begins with \(modes.think) on"), (.mixed, "with either on"),
                (.short, "with \(modes.short) on"),
            ]
        }
        let parts = verbs.compactMap { choice, verb -> String? in
            let levels = story.levels.filter { $0.choice == choice }
            guard !levels.isEmpty else { return nil }
            let names = levels.map { "\($0.name) (\(Format.percent($0.after)))" }.joined(separator: ", ")
            return "\(verb) level\(levels.count == 1 ? "" : "s") \(names)"
        }
        return parts.joined(separator: "; ")
    }

    /// Whether both modes are in use at the end.
    private var use: String? {
        if let collapse {
            return "collapsed into \(collapse.mode) mode at step \(collapse.step): over 98 % of responses from there on"
        }
        guard let share = story[.thinkShare] else { return nil }
        return (0.02...0.98).contains(share.after) ? "no collapse: both modes are in use at the end" : nil
    }

    private var reasons: [String] {
        guard !story.stillness.isEmpty else { return [] }
        return ["nothing moved by more than chance: " + story.stillness.map(Self.text).joined(separator: "; ")]
    }

    private static func text(_ reason: RunStory.Stillness) -> String {
        switch reason {
        case .fewSteps(let count): return "only \(Format.counted(count, "step")) \(count == 1 ? "is" : "are") logged"
        case .equalRewards(let share):
            return
                "in \(Format.percent(share)) of the groups all answers got the same reward, which gives no gradient; "
                + "use problems that are right sometimes, or more samples per prompt"
        case .noGradient: return "the gradient was 0 at every step"
        case .allWrong(let share):
            return "\(Format.percent(share)) of the answers are right, so there is nothing to reinforce; "
                + "start with easier problems or a better warm-up"
        case .allRight(let share): return "\(Format.percent(share)) of the answers were right from the start"
        case .smallSteps(let rate, let moved):
            let weights = moved.map { ", and the weights moved by at most \(Format.value($0)) of their norm" } ?? ""
            return "the learning rate was at most \(Format.value(rate))\(weights)"
        case .unexplained: return "rewards differed and gradients flowed, so the log does not say why"
        }
    }

    /// A quantity before and after.
    static func text(_ change: RunStory.Change) -> String {
        "\(name(change.quantity)) \(number(change.before, change.quantity)) → \(number(change.after, change.quantity))"
    }

    static func number(_ value: Double, _ quantity: RunQuantity) -> String {
        guard quantity.isShare else { return Format.value(value) }
        return Format.percent(value, decimals: value > 0 && value < 0.1 || value > 0.9 && value < 1 ? 1 : 0)
    }

    static func name(_ quantity: RunQuantity) -> String {
        switch quantity {
        case .thinkShare: "think share"
        case .accuracy: "right"
        case .accuracyThink: "right think"
        case .accuracyShort: "right short"
        case .tokens: "tokens"
        case .tokensThink: "tokens think"
        case .tokensShort: "tokens short"
        case .reward: "reward"
        case .heldOutLoss: "held-out loss"
        case .loss: "loss"
        }
    }
}

/// Which of two runs ended better, in sentences.
struct RankingText {
    let ranking: RunRanking

    /// The verdict, for example "B ended better".
    var headline: String {
        switch ranking.winner {
        case .a: "A ended better"
        case .b: "B ended better"
        case .neither: ranking.criterion == nil ? "no metric of both runs decides" : "both ended alike"
        }
    }

    var sentences: [String] {
        var texts: [String] = []
        if let criterion = ranking.criterion {
            let by = Self.difference(criterion)
            texts.append(
                criterion.isClear
                    ? "by \(by)" : "no clear difference by \(by)")
        }
        let others = ranking.differences.filter { $0.quantity != ranking.criterion?.quantity && $0.isClear }
        if !others.isEmpty { texts.append("also: " + others.map(Self.difference).joined(separator: "; ")) }
        return texts
    }

    /// For example "right 93 % against 88 % (+5.0 ± 1.1 points)".
    private static func difference(_ difference: RunRanking.Difference) -> String {
        let quantity = difference.quantity
        let ends = [difference.a, difference.b].map { StoryText.number($0, quantity) }
        let scale = quantity.isShare ? 100.0 : 1
        let value = (difference.b - difference.a) * scale
        let error = difference.error * scale
        let sign = value < 0 ? "−" : "+"
        let digits = quantity.isShare ? Format.decimals(abs(value), 1) : Format.value(abs(value))
        let spread = error > 0 ? " ± " + (quantity.isShare ? Format.decimals(error, 1) : Format.value(error)) : ""
        return "\(StoryText.name(quantity)) A \(ends[0]), B \(ends[1]) (\(sign)\(digits)\(spread)"
            + (quantity.isShare ? " points)" : ")")
    }
}
