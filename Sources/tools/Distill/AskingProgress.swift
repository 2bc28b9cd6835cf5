import Synchronization
import TrainLoop

/// Shows how many problems the teachers have answered, how fast they write, and the time left.
final class AskingProgress: Sendable {
    private struct State {
        var done = 0
        var total = 0
        var isShown = false
    }

    private let teachers: [any Teacher]
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    init(_ teachers: [any Teacher]) { self.teachers = teachers }

    /// Sets the numbers of problems; may be called from any thread.
    func update(_ done: Int, of total: Int) {
        let wasShown = state.withLock { state in
            defer { (state.done, state.total, state.isShown) = (done, total, true) }
            return state.isShown
        }
        guard !wasShown else { return LivePanel.refresh() }
        LivePanel.show(
            LivePanel.Content(
                start: start + .milliseconds(500), lines: { [self.line.text(in: $0)] },
                plainLine: { self.line.text(in: Terminal.errorSize.columns - 1) }))
    }

    /// Erases the line.
    func finish() {
        let wasShown = state.withLock { state in
            defer { state.isShown = false }
            return state.isShown
        }
        if wasShown { LivePanel.remove() }
    }

    private var line: ProgressLine {
        let (done, total) = state.withLock { ($0.done, $0.total) }
        return Self.line(
            done: done, total: total, writing: teachers.compactMap(\.progress),
            seconds: Double((ContinuousClock.now - start) / .seconds(1)))
    }

    /// The line after `seconds`; without any count of tokens, rate and time left are those of problems.
    static func line(done: Int, total: Int, writing: [TeacherProgress], seconds: Double) -> ProgressLine {
        var line = ProgressLine("asking", done: done, total: total, amount: "\(done) of \(total) problems")
        let writing = writing.filter { $0.tokens > 0 }
        let tokens = writing.reduce(0) { $0 + $1.tokens }
        if tokens > 0 {
            let rate = Double(tokens) / max(seconds, 1e-9)
            let left = writing.reduce(0) { $0 + $1.tokensLeft(to: total) } / rate
            line.rate = "\(Format.number(rate)) tokens/s"
            line.left = (writing.contains { $0.answers == 0 } ? "at most " : "") + Format.duration(left) + " left"
        } else if done > 0 {
            let rate = Double(done) / max(seconds, 1e-9)
            line.rate = "\(Format.number(rate))/s"
            line.left = Format.duration(Double(total - done) / rate) + " left"
        }
        return line
    }
}
