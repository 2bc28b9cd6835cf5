import Foundation
import OrderedJSON
import Synchronization

/// Shows the progress of one long task on stderr, with rate and time left.
///
/// A task that takes less than half a second shows nothing.
final class ProgressBar: Sendable {
    enum Unit: Sendable {
        case bytes
        case count(String)
        /// A count whose total is an upper bound.
        case atMost(String)
    }

    private struct State {
        var done = 0
        var isShown = false
    }

    private let title: String
    private let total: Int
    /// The amount that was done before this task began; it is left out of the rate.
    private let before: Int
    private let unit: Unit
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    init(_ title: String, total: Int, unit: Unit, before: Int = 0) {
        self.title = title
        self.total = max(total, 1)
        self.unit = unit
        self.before = before
    }

    /// Sets the total amount that is done; may be called from any thread.
    func update(_ done: Int) {
        let wasShown = state.withLock { state in
            state.done = max(state.done, done)
            defer { state.isShown = true }
            return state.isShown
        }
        if wasShown { LivePanel.refresh() } else { show(from: start + .milliseconds(500)) }
    }

    /// Shows the bar now, for a task of few long steps.
    func begin() {
        state.withLock { $0.isShown = true }
        show(from: .now)
    }

    private func show(from start: ContinuousClock.Instant) {
        LivePanel.show(
            LivePanel.Content(
                start: start, lines: { [self.line.text(in: $0)] },
                plainLine: { self.line.text(in: Terminal.errorSize.columns - 1) }))
    }

    /// Erases the bar.
    func finish() {
        let wasShown = state.withLock { state in
            defer { state.isShown = false }
            return state.isShown
        }
        if wasShown { LivePanel.remove() }
    }

    private var line: ProgressLine {
        let done = state.withLock(\.done)
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        let rate = Double(max(done - before, 0)) / max(seconds, 1e-9)
        var line = ProgressLine(title, done: done, total: total, amount: "")
        switch unit {
        case .bytes:
            line.amount = "\(Format.bytes(done)) of \(Format.bytes(total))"
            line.rate = "\(Format.bytes(Int(saturating: rate)))/s"
        case .count(let noun): line.amount = "\(done) of \(total) \(noun)"
        case .atMost(let noun): line.amount = "\(done) of at most \(total) \(noun)"
        }
        guard rate > 0 else {
            line.rate = nil
            return line
        }
        line.rate = line.rate ?? "\(Format.number(rate))/s"
        line.left = Format.duration(Double(total - done) / rate) + " left"
        return line
    }
}
