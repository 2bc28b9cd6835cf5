import Foundation
import OrderedJSON
import TrainLoop

/// The progress of a training run on stderr, one row of a table per step.
///
/// On a terminal the panel below has bars of the mode preference by level and the phase of the current step; elsewhere
/// bars are printed with each measurement of the probe.
struct TrainingView {
    private let columns: StepColumns
    private let totalSteps: Int
    private let start = ContinuousClock.now
    private let firstStep: Int
    private var lastStep: Int
    private var secondsLeft = Double.nan
    private var lastRow: ContinuousClock.Instant?
    private var lastEvent = ContinuousClock.now
    /// The number of lines since the heading, and its columns.
    private var heading: (lines: Int, shown: [Int])?

    /// The newest preference of each level, sorted by level.
    private var preference: [LevelPreference] = []
    private var phase: (name: String, start: ContinuousClock.Instant, done: Int, total: Int)?
    private static let maximumBars = 10

    /// Shows the panel.
    ///
    /// - Parameters:
    ///   - columns: the columns of the table.
    ///   - step: the number of steps that are done.
    ///   - totalSteps: the number of steps of the run.
    init(_ columns: StepColumns, after step: Int, of totalSteps: Int) {
        (self.columns, self.totalSteps, firstStep, lastStep) = (columns, totalSteps, step, step)
        draw()
    }

    mutating func show(_ event: TrainingEvent) {
        defer { lastEvent = .now }
        switch event {
        case .note(let text): say(text)
        case .warning(let text): say("ckpt: warning: \(text)")
        case .progress(let name, let done, let total):
            phase = (name, phase?.name == name ? phase?.start ?? lastEvent : lastEvent, done, total)
            draw()
        case .preference(let byLevel): update(byLevel)
        case .step(let step, _, let metrics): showStep(step, metrics)
        case .probe(let step, let byLevel):
            update(byLevel)
            if Terminal.controlsErrors { return draw() }
            say("  P(<think>) at step \(step):")
            for row in byLevel.map(LevelPreference.init) { say(row.text(in: Terminal.errorSize.columns - 1)) }
        case .heldOut(let step, let metrics):
            say("  held out, step \(step): " + MetricLine.heldOut(metrics))
        case .readiness(let readiness): showVerdict(readiness)
        case .evaluation(let step, let result):
            EvaluationLines.of(result, step: step).forEach { say($0) }
            // The next row stands below another table.
            heading = nil
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

    /// Removes the panel and leaves the bars.
    mutating func finish() {
        LivePanel.remove()
        guard Terminal.controlsErrors else { return }
        for line in Self.bars(preference, width: Terminal.errorSize.columns - 1) { Terminal.writeError(line) }
    }

    private mutating func showStep(_ step: Int, _ metrics: MetricRow) {
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        lastStep = step
        secondsLeft = seconds / Double(max(step - firstStep, 1)) * Double(totalSteps - step)
        phase = nil
        defer { draw() }
        // Fast steps would flood a log: at most one line per second, and always the first and the last.
        let now = ContinuousClock.now
        if let lastRow, now - lastRow < .seconds(1), step != totalSteps { return }
        lastRow = now
        let size = Terminal.errorSize
        let shown = columns.table.shown(in: size.columns - 1)
        let screen = max(size.rows - preference.prefix(Self.maximumBars).count - 4, 4)
        if heading.map({ $0.lines >= screen || $0.shown != shown }) ?? true {
            for line in columns.table.heading(in: size.columns - 1) { Terminal.writeError(line, wraps: false) }
            heading = (0, shown)
        }
        let row = columns.row(step: step, of: totalSteps, metrics, secondsLeft: secondsLeft)
        say(columns.table.line(row, in: size.columns - 1))
    }

    private mutating func update(_ byLevel: [(level: String, pThink: Double, pShort: Double)]) {
        for row in byLevel.map(LevelPreference.init) {
            if let index = preference.firstIndex(where: { $0.level == row.level }) {
                preference[index] = row
            } else {
                preference.append(row)
                preference.sort { $0.level < $1.level }
            }
        }
    }

    private mutating func say(_ line: String) {
        heading?.lines += 1
        Terminal.writeError(line)
    }

    // MARK: - The panel

    private func draw() {
        let preference = preference
        let line = progressLine
        LivePanel.show(
            LivePanel.Content(
                lines: { Self.bars(preference, width: $0) + [line.text(in: $0)] },
                plainLine: { line.text(in: Terminal.errorSize.columns - 1) }))
    }

    private static func bars(_ preference: [LevelPreference], width: Int) -> [String] {
        guard !preference.isEmpty else { return [] }
        return ["  P(<think>)"] + preference.prefix(maximumBars).map { $0.text(in: width) }
    }

    /// The phase of the current step, with its rate once there is one.
    private var progressLine: ProgressLine {
        let left = secondsLeft.isFinite ? Format.duration(secondsLeft) + " left" : nil
        guard let phase else {
            let rate = Double(lastStep - firstStep) / Double((ContinuousClock.now - start) / .seconds(1))
            return ProgressLine(
                "  step", done: lastStep, total: totalSteps, amount: "\(lastStep) of \(totalSteps)",
                rate: rate > 0 ? "\(Format.number(rate))/s" : nil, left: left)
        }
        let rate = Double(phase.done) / Double((ContinuousClock.now - phase.start) / .seconds(1))
        var line = ProgressLine(
            "  step \(min(lastStep + 1, totalSteps)) of \(totalSteps), \(phase.name)", done: phase.done,
            total: phase.total, amount: "\(phase.done) of \(phase.total)",
            rate: rate.isFinite ? "\(Format.number(rate))/s" : nil, left: left)
        line.shortTitle = "  \(phase.name)"
        return line
    }
}

/// The mean preference for the modes over the prompts of a level.
package struct LevelPreference: Sendable {
    let level: String
    let pThink: Double
    let pShort: Double

    package init(_ row: (level: String, pThink: Double, pShort: Double)) {
        (level, pThink, pShort) = (row.level, row.pThink, row.pShort)
    }

    /// A bar in `width` cells; the preference for `<short>` goes where there is no room for it.
    package func text(in width: Int) -> String {
        let name = "    " + Format.column(level.isEmpty ? "all" : level, 10)
        let think = Format.column(Format.percent(pThink), 5, alignRight: true)
        let short = "  P(<short>) " + Format.column(Format.percent(pShort), 5, alignRight: true)
        let room = width - name.cells - think.cells - 2
        let isWide = room >= 24 + short.cells
        let bar = TextPlot.bar(pThink, width: min(max(isWide ? room - short.cells : room, 4), 24))
        return "\(name) \(bar) \(think)\(isWide ? short : "")".cut(toCells: width)
    }
}

/// The table of an evaluation during training: accuracy and tokens, free and with each mode forced.
enum EvaluationLines {
    private static let table = StepTable([
        StepTable.Column("", "", 14, rank: 1), StepTable.Column("", "right", 5, rank: 1),
        StepTable.Column("", "tokens", 6, rank: 3), StepTable.Column("share", "think", 5, rank: 2),
        StepTable.Column("forced", "think", 6, rank: 4), StepTable.Column("forced", "short", 6, rank: 4),
    ])

    static func of(_ result: Evaluation, step: Int) -> [String] {
        let width = Terminal.errorSize.columns - 1
        func line(_ name: String, _ level: String?) -> String {
            let (free, think, short) = (
                result.summary(.auto, level: level), result.summary(.think, level: level),
                result.summary(.short, level: level)
            )
            return table.line(
                [
                    "    " + Format.column(name, 10), Format.percent(free.accuracy),
                    Format.number(free.meanTokens, width: 6), Format.percent(free.thinkShare),
                    Format.percent(think.accuracy), Format.percent(short.accuracy),
                ], in: width)
        }
        let levels = result.levels.filter { !$0.isEmpty }
        let problems = Format.counted(result.problems.count, "problem")
        return ["  evaluation at step \(step), \(problems):"] + table.heading(in: width) + [line("all", nil)]
            + (levels.count > 1 && levels.count <= 10 ? levels.map { line($0, $0) } : [])
    }
}
