import CheckpointIO

/// Notices that a run has all but lost a mode, from what its history says of the last steps.
///
/// It keeps nothing of its own, so a resumed run rings at the same step.
struct CollapseAlarm {
    let share: Double
    let steps: Int

    /// What a step adds to the history.
    ///
    /// - Parameters:
    ///   - history: of the steps before.
    ///   - metrics: of this step: `num_think`, `num_short`, `p_think_mean`.
    ///   - probe: mean P(`<think>`) over the probe's prompts when it was measured last, nil without a probe.
    /// - Returns: whether a mode was all but absent in this step, whether that has been so for `steps` steps, and
    ///   whether it has become so with this one.
    func judge(
        _ metrics: [(name: String, value: Double)], after history: MetricHistory, probe: Double?
    ) -> (isLow: Bool, rings: Bool, isNew: Bool) {
        guard steps > 0 else { return (false, false, false) }
        func value(_ name: String) -> Double { metrics.first { $0.name == name }?.value ?? .nan }
        let chosen = value("num_think") + value("num_short")
        // Where every sample is forced, the probabilities tell.
        let thinkShare = chosen > 0 ? value("num_think") / chosen : value("p_think_mean")
        let isLow = [thinkShare, probe ?? 0.5].contains { $0 < share || $0 > 1 - share }
        let before = (history["mode_low"] ?? []).reversed()
        let run = (isLow ? 1 : 0) + (isLow ? before.prefix { $0 == 1 }.count : 0)
        return (isLow, run >= steps, run == steps)
    }
}
