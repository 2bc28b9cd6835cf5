import Foundation
import TrainLoop

/// A training run as it goes by, on stderr: a line a step, and below it on a terminal the preference for a mode by
/// level as bars that move, and what is under way. Elsewhere the bars come with each measurement of the probe.
struct TrainingView {
    /// What of a step's metrics goes into its line.
    let metrics: (MetricLine.Metrics) -> String

    private let start = ContinuousClock.now
    private var firstStep: Int?
    private var lastLine: ContinuousClock.Instant?
    private let isTerminal = Terminal.isTerminal(STDERR_FILENO)

    /// The newest preference of each level, in the order of their names.
    private var preference: [(level: String, pThink: Double, pShort: Double)] = []
    private var phase: String?
    private var lastDrawn: ContinuousClock.Instant?
    /// Lines at the bottom that are drawn anew.
    private var drawnLines = 0
    private static let maximumBars = 10

    init(metrics: @escaping (MetricLine.Metrics) -> String) { self.metrics = metrics }

    mutating func show(_ event: TrainingEvent, stops: Bool) -> TrainingDisposition {
        switch event {
        case .note(let text): say(text)
        case .warning(let text): say("ckpt: warning: \(text)")
        case .progress(let name, let done, let total):
            let bar = TextPlot.bar(Double(done) / Double(max(total, 1)), width: 20)
            phase = "  \(Format.column(name, 10)) \(bar) \(done) of \(total)"
            redraw()
        case .preference(let byLevel): update(byLevel)
        case .step(let step, let total, let metrics): showStep(step, total, metrics)
        case .probe(let step, let byLevel):
            update(byLevel)
            if isTerminal { break }
            say("  P(<think>) at step \(step):")
            for row in byLevel { say(Self.bar(row)) }
        case .heldOut(let step, let metrics):
            say("  held out, step \(step): " + MetricLine.heldOut(metrics))
        case .readiness(let readiness): showVerdict(readiness)
        case .evaluation(let step, let result): for line in EvaluationLines.of(result, step: step) { say(line) }
        case .saved(let path, let byteCount): say("  saved \(path) (\(Format.bytes(byteCount)))")
        }
        return stops ? .stop : .more
    }

    private mutating func showVerdict(_ readiness: Readiness?) {
        guard let readiness else {
            return say("whether it is ready for RL was not measured: there is nothing held out")
        }
        if readiness.shortcomings.isEmpty {
            say("ready for RL: both modes are used, and they differ")
        }
        for shortcoming in readiness.shortcomings { say("ckpt: warning: not ready for RL: \(shortcoming)") }
    }

    /// The bars stay as they were last; what was under way is over.
    mutating func finish() {
        phase = nil
        if isTerminal { draw() }
        drawnLines = 0
    }

    private mutating func showStep(_ step: Int, _ total: Int, _ values: MetricLine.Metrics) {
        let first = firstStep ?? step - 1
        firstStep = first
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        let left = seconds / Double(max(step - first, 1)) * Double(total - step)
        phase = nil
        // Quick steps would flood a log: a line a second is enough, and the last one.
        let now = ContinuousClock.now
        if let lastLine, now - lastLine < .seconds(1), step != total, step != first + 1 { return }
        lastLine = now
        say("step \(step)/\(total)  \(metrics(values))  \(Format.duration(left)) left")
    }

    private mutating func update(_ byLevel: [(level: String, pThink: Double, pShort: Double)]) {
        for row in byLevel {
            if let index = preference.firstIndex(where: { $0.level == row.level }) {
                preference[index] = row
            } else {
                preference.append(row)
                preference.sort { $0.level < $1.level }
            }
        }
    }

    private static func bar(_ row: (level: String, pThink: Double, pShort: Double)) -> String {
        let level = row.level.isEmpty ? "all" : row.level
        return "    \(Format.column(level, 10)) \(TextPlot.bar(row.pThink, width: 24)) "
            + "\(Format.percent(row.pThink))  P(<short>) \(Format.percent(row.pShort))"
    }

    // MARK: - The lines at the bottom

    /// A line that stays, above those that move.
    private mutating func say(_ line: String) {
        clear()
        Terminal.writeError(line)
        if isTerminal { draw() }
    }

    private mutating func redraw() {
        guard isTerminal else { return }
        let now = ContinuousClock.now
        if let lastDrawn, now - lastDrawn < .milliseconds(100) { return }
        lastDrawn = now
        draw()
    }

    private mutating func clear() {
        guard drawnLines > 0 else { return }
        FileHandle.standardError.write(Data("\u{1B}[\(drawnLines)A\r\u{1B}[J".utf8))
        drawnLines = 0
    }

    private mutating func draw() {
        clear()
        var lines: [String] = []
        if !preference.isEmpty {
            lines.append("  P(<think>)")
            lines += preference.prefix(Self.maximumBars).map(Self.bar)
        }
        if let phase { lines.append(phase) }
        guard !lines.isEmpty else { return }
        FileHandle.standardError.write(Data((lines.joined(separator: "\n") + "\n").utf8))
        drawnLines = lines.count
    }
}

/// An evaluation during training as lines: accuracy and tokens, free and with each mode forced.
enum EvaluationLines {
    static func of(_ result: Evaluation, step: Int) -> [String] {
        func line(_ name: String, _ level: String?) -> String {
            let (free, think, short) = (
                result.summary(.auto, level: level), result.summary(.think, level: level),
                result.summary(.short, level: level)
            )
            return
                "    \(Format.column(name, 10)) right \(Format.percent(free.accuracy)) with \(Format.number(free.meanTokens))"
                + " tokens, think \(Format.percent(free.thinkShare)); forced think \(Format.percent(think.accuracy)), "
                + "forced short \(Format.percent(short.accuracy))"
        }
        let levels = result.levels.filter { !$0.isEmpty }
        return ["  evaluation at step \(step), \(result.problems.count) problems:", line("all", nil)]
            + (levels.count > 1 && levels.count <= 10 ? levels.map { line($0, $0) } : [])
    }
}
