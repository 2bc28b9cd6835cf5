import Foundation
import TrainLoop

/// A training run as it goes by: one line a step, mode preference as bars now and then. All on stderr.
struct TrainingView {
    /// The metrics of a step's line, in order.
    let shown: [String]

    private let start = ContinuousClock.now
    private var firstStep: Int?
    private var lastLine: ContinuousClock.Instant?
    private let isTerminal = Terminal.isTerminal(STDERR_FILENO)

    init(shown: [String]) { self.shown = shown }

    mutating func show(_ event: TrainingEvent, stops: Bool) -> TrainingDisposition {
        switch event {
        case .note(let text):
            clearLine()
            Terminal.writeError(text)
        case .progress(let phase, let done, let total):
            if isTerminal {
                FileHandle.standardError.write(
                    Data("\r\u{1B}[K  \(phase) \(TextPlot.bar(Double(done) / Double(max(total, 1)), width: 20))".utf8))
            }
        case .step(let step, let total, let metrics):
            showStep(step, total, metrics)
        case .probe(let step, let byLevel):
            clearLine()
            Terminal.writeError("  P(<think>) at step \(step):")
            for row in byLevel {
                let level = row.level.isEmpty ? "all" : row.level
                Terminal.writeError(
                    "    \(Format.column(level, 10)) \(TextPlot.bar(row.pThink, width: 24)) "
                        + "\(Format.percent(row.pThink))  P(<short>) \(Format.percent(row.pShort))")
            }
        case .saved(let path, let byteCount):
            clearLine()
            Terminal.writeError("  saved \(path) (\(Format.bytes(byteCount)))")
        }
        return stops ? .stop : .more
    }

    func finish() { clearLine() }

    private mutating func showStep(_ step: Int, _ total: Int, _ metrics: [(name: String, value: Double)]) {
        let first = firstStep ?? step - 1
        firstStep = first
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        let left = seconds / Double(max(step - first, 1)) * Double(total - step)
        let parts = shown.compactMap { name in
            metrics.first { $0.name == name }.map { "\(name) \(Format.number($0.value))" }
        }
        clearLine()
        // Quick steps would flood a log: a line a second is enough, and the last one.
        let now = ContinuousClock.now
        if let lastLine, now - lastLine < .seconds(1), step != total, step != first + 1 { return }
        lastLine = now
        Terminal.writeError("step \(step)/\(total)  \(parts.joined(separator: "  "))  \(Format.duration(left)) left")
    }

    private func clearLine() {
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    }
}
