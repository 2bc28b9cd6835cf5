/// Seconds by phase of a step, as metrics; a phase may be come back to.
struct PhaseClock {
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var phases: [(name: String, seconds: Double)] = []

    init() { last = start }

    /// Everything since the last mark was this phase.
    mutating func mark(_ phase: String) {
        let now = ContinuousClock.now
        let seconds = Double((now - last) / .seconds(1))
        if let index = phases.firstIndex(where: { $0.name == phase }) {
            phases[index].seconds += seconds
        } else {
            phases.append((phase, seconds))
        }
        last = now
    }

    /// `seconds_<phase>` for each, and `seconds_step` from the start until now.
    var metrics: [(name: String, value: Double)] {
        phases.map { ("seconds_" + $0.name, $0.seconds) }
            + [("seconds_step", Double((ContinuousClock.now - start) / .seconds(1)))]
    }
}
