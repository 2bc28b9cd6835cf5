import Foundation
import OrderedJSON
import TrainLoop

/// The progress of a training run on stderr, one line per step.
///
/// On a terminal the lines are followed by bars of the mode preference by level and by the phase of the current step,
/// which are redrawn; elsewhere bars are printed with each measurement of the probe.
struct TrainingView {
    /// Shows the metrics of a step as a part of its line.
    let line: (MetricRow) -> String

    private let start = ContinuousClock.now
    private var firstStep: Int?
    private var lastLine: ContinuousClock.Instant?
    private let isTerminal = Terminal.isTerminal(STDERR_FILENO)

    /// The newest preference of each level, sorted by level.
    private var preference: [(level: String, pThink: Double, pShort: Double)] = []
    private var phase: String?
    private var lastDrawn: ContinuousClock.Instant?
    /// The number of lines at the bottom that are redrawn.
    private var drawnLines = 0
    private static let maximumBars = 10

    init(line: @escaping (MetricRow) -> String) { self.line = line }

    mutating func show(_ event: TrainingEvent) {
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
    }

    private mutating func showVerdict(_ readiness: Readiness?) {
        guard let readiness else {
            return say("readiness for RL was not measured, because no data is held out")
        }
        if readiness.shortcomings.isEmpty {
            say("ready for RL: both modes are in use, and they differ")
        }
        for shortcoming in readiness.shortcomings { say("ckpt: warning: not ready for RL: \(shortcoming)") }
    }

    /// Removes the phase from the screen and leaves the bars.
    mutating func finish() {
        phase = nil
        if isTerminal { draw() }
        drawnLines = 0
    }

    private mutating func showStep(_ step: Int, _ total: Int, _ row: MetricRow) {
        let first = firstStep ?? step - 1
        firstStep = first
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        let left = seconds / Double(max(step - first, 1)) * Double(total - step)
        phase = nil
        // Fast steps would flood a log: at most one line per second, and always the first and the last.
        let now = ContinuousClock.now
        if let lastLine, now - lastLine < .seconds(1), step != total, step != first + 1 { return }
        lastLine = now
        say("step \(step)/\(total)  \(line(row))  \(Format.duration(left)) left")
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

    /// Prints a line above those that are redrawn.
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
        StandardStreams.writeErrors("\u{1B}[\(drawnLines)A\r\u{1B}[J")
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
        StandardStreams.writeErrors(lines.map { $0.onOneLine() + "\n" }.joined())
        drawnLines = lines.count
    }
}

/// The lines of an evaluation during training: accuracy and tokens, free and with each mode forced.
enum EvaluationLines {
    static func of(_ result: Evaluation, step: Int) -> [String] {
        func line(_ name: String, _ level: String?) -> String {
            let (free, think, short) = (
                result.summary(.auto, level: level), result.summary(.think, level: level),
                result.summary(.short, level: level)
            )
            return "    \(Format.column(name, 10)) right \(Format.percent(free.accuracy)) with "
                + "\(Format.number(free.meanTokens)) tokens, think \(Format.percent(free.thinkShare)); "
                + "forced think \(Format.percent(think.accuracy)), forced short \(Format.percent(short.accuracy))"
        }
        let levels = result.levels.filter { !$0.isEmpty }
        return ["  evaluation at step \(step), \(result.problems.count) problems:", line("all", nil)]
            + (levels.count > 1 && levels.count <= 10 ? levels.map { line($0, $0) } : [])
    }
}
