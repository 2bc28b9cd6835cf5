/// The seconds that each phase of a step takes, as metrics; a phase may occur several times.
struct PhaseClock {
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var phases: [(name: String, seconds: Double)] = []

    init() { last = start }

    /// Adds the time since the last mark to a phase.
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

    /// `seconds_<phase>` of each phase, and `seconds_step` since the clock was made.
    var metrics: MetricRow {
        MetricRow(
            phases.map { ("seconds_" + $0.name, $0.seconds) }
                + [("seconds_step", Double((ContinuousClock.now - start) / .seconds(1)))])
    }
}
