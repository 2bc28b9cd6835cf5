import Foundation
import OrderedJSON
import Synchronization

/// Shows the progress of one long task on stderr.
///
/// A terminal gets a bar with rate and time left, anything else a plain line every five seconds. A task that takes
/// less than half a second shows nothing.
final class ProgressBar: Sendable {
    enum Unit: Sendable {
        case bytes
        case count(String)
    }

    private struct State {
        var done = 0
        var lastShown: ContinuousClock.Instant
        var hasDrawn = false
    }

    private let title: String
    private let total: Int
    /// The amount that was done before this task began; it is left out of the rate.
    private let before: Int
    private let unit: Unit
    private let start = ContinuousClock.now
    private let isTerminal = Terminal.isTerminal(STDERR_FILENO)
    private let state: Mutex<State>

    init(_ title: String, total: Int, unit: Unit, before: Int = 0) {
        self.title = title
        self.total = max(total, 1)
        self.unit = unit
        self.before = before
        state = Mutex(State(lastShown: .now))
    }

    /// Sets the total amount that is done; may be called from any thread.
    func update(_ done: Int) {
        state.withLock { state in
            state.done = max(state.done, done)
            let now = ContinuousClock.now
            let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
            guard now - state.lastShown >= pause, now - start >= .milliseconds(500) else { return }
            state.lastShown = now
            state.hasDrawn = true
            draw(state.done)
        }
    }

    /// Draws the empty bar on a terminal, for a task of few long steps.
    func begin() {
        guard isTerminal else { return }
        state.withLock { state in
            state.hasDrawn = true
            draw(0)
        }
    }

    /// Erases the bar.
    func finish() {
        state.withLock { state in
            guard state.hasDrawn, isTerminal else { return }
            StandardStreams.writeErrors("\r\u{1B}[K")
            state.hasDrawn = false
        }
    }

    private func draw(_ done: Int) {
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        let rate = Double(done - before) / max(seconds, 1e-9)
        let left = rate > 0 ? ", \(Format.duration(Double(total - done) / rate)) left" : ""
        let fraction = min(Double(done) / Double(total), 1)
        let amount: String
        switch unit {
        case .bytes: amount = "\(Format.bytes(done)) of \(Format.bytes(total)), \(Format.bytes(Int(rate)))/s"
        case .count(let noun):
            amount = "\(done) of \(total) \(noun)" + (done > 0 ? ", \(Format.number(rate))/s" : "")
        }
        let line = "\(title) \(TextPlot.bar(fraction, width: 20)) \(amount)\(left)"
        if isTerminal {
            StandardStreams.writeErrors("\r\u{1B}[K\(line.onOneLine())")
        } else {
            Terminal.writeError(line)
        }
    }
}

/// A progress bar that learns its total with the first update.
final class LateProgressBar: Sendable {
    private let title: String
    private let unit: ProgressBar.Unit
    private let bar = Mutex<ProgressBar?>(nil)

    init(_ title: String, unit: ProgressBar.Unit) {
        self.title = title
        self.unit = unit
    }

    func update(_ done: Int, of total: Int) {
        bar.withLock { bar in
            let made = bar ?? ProgressBar(title, total: total, unit: unit)
            bar = made
            made.update(done)
        }
    }

    func finish() { bar.withLock { $0?.finish() } }
}
