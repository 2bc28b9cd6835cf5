import CheckpointIO

/// Detects that a run has almost lost a mode.
///
/// It has no state but the run's history, so a resumed run raises it at the same step.
struct CollapseAlarm {
    let share: Double
    let steps: Int

    /// The judgement of one step.
    struct Verdict {
        /// Whether a mode was almost absent in this step.
        var isLow = false
        /// Whether that has been so for `steps` steps.
        var isRaised = false
        /// Whether the alarm was raised in this step.
        var isNew = false

        var metrics: MetricRow { ["mode_low": isLow ? 1 : 0, "collapse_alarm": isRaised ? 1 : 0] }
    }

    /// Judges a step.
    ///
    /// `probe` is mean P(`<think>`) over the probe's prompts when it was last measured; nil without a probe.
    func judge(_ row: MetricRow, after history: MetricHistory, probe: Double?) -> Verdict {
        guard steps > 0 else { return Verdict() }
        func value(_ name: String) -> Double { row[name] ?? .nan }
        let chosen = value("num_think") + value("num_short")
        // If every sample is forced, their probabilities are judged instead.
        let thinkShare = chosen > 0 ? value("num_think") / chosen : value("p_think_mean")
        let isLow = [thinkShare, probe ?? 0.5].contains { $0 < share || $0 > 1 - share }
        let before = (history["mode_low"] ?? []).reversed()
        let lowSteps = isLow ? 1 + before.prefix { $0 == 1 }.count : 0
        return Verdict(isLow: isLow, isRaised: lowSteps >= steps, isNew: lowSteps == steps)
    }
}
