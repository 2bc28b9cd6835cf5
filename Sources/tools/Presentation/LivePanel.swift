import Foundation
import OrderedJSON
import Synchronization

/// The lines at the bottom of the terminal that show work in progress and are redrawn; there is one panel.
///
/// All lines for stderr pass through it, so that messages stand above the panel. The cursor rests at the start of the
/// line below the panel and is never hidden: however the program ends, the prompt of the shell gets a line of its own.
/// Where stderr takes no control sequences, the panel is a plain line from time to time.
enum LivePanel {
    struct Content: Sendable {
        /// When the panel appears, so that short work shows nothing.
        var start = ContinuousClock.now
        /// The lines for a width in cells.
        let lines: @Sendable (Int) -> [String]
        /// The line where stderr takes no control sequences.
        let plainLine: @Sendable () -> String
    }

    private struct State {
        var content: Content?
        /// The cells of each line on the screen.
        var drawn: [Int] = []
        var isHidden = false
        var lastDrawn = ContinuousClock.now - .seconds(1)
        /// When a plain line is due if no other line is written before.
        var plainLineDue = ContinuousClock.now
        /// How long nothing is written before a plain line.
        var silence = firstSilence
        var isClosed = false
    }

    private static let state = Mutex(State())
    private static let controls = Terminal.controlsErrors
    private static let redrawPause = Duration.milliseconds(100)
    private static let firstSilence = Duration.seconds(5)
    private static let longestSilence = Duration.seconds(30)

    /// Sets what the panel shows; may be called from any thread.
    static func show(_ content: Content) {
        state.withLock { state in
            if state.content == nil {
                state.silence = firstSilence
                state.plainLineDue = .now + firstSilence
            }
            state.content = content
            state.isHidden = false
        }
        _ = sources
        refresh()
    }

    /// Redraws the panel if that was not done just now.
    static func refresh() {
        state.withLock { state in
            if controls, .now - state.lastDrawn >= redrawPause { write("", &state) }
        }
    }

    /// Erases the panel.
    static func remove() {
        state.withLock { state in
            state.content = nil
            write("", &state)
        }
    }

    /// Erases the panel until its content is set again, because results follow on stdout.
    static func hide() {
        state.withLock { state in
            state.isHidden = true
            write("", &state)
        }
    }

    /// Writes lines above the panel, each with its newline.
    static func write(_ text: String) { state.withLock { write(text, &$0) } }

    private static func write(_ text: String, _ state: inout State) {
        if !text.isEmpty { state.plainLineDue = .now + state.silence }
        guard controls, !state.isClosed, Terminal.isInForeground else {
            state.drawn = []
            if !text.isEmpty { StandardStreams.writeErrors(text) }
            return
        }
        let size = Terminal.errorSize
        var lines: [String] = []
        if let content = state.content, !state.isHidden, .now >= content.start {
            lines = content.lines(size.columns - 1).suffix(max(size.rows - 1, 1)).map {
                $0.onOneLine().cut(toCells: size.columns - 1)
            }
        }
        let panel = lines.map { $0 + "\u{1B}[K\n" }.joined()
        let count = PanelRows.count(of: state.drawn, columns: size.columns, cuts: Terminal.cutsLines)
        let rows = min(count, size.rows - 1)
        var output = rows > 0 ? "\u{1B}[\(rows)A\r" : ""
        if !text.isEmpty {
            // The panel stood between what the terminal echoes, such as ^C, and the text before it.
            output += rows > 0 ? "\u{1B}[J" + text.drop { $0 == "\n" } : text
        }
        output += panel
        if rows > 0 { output += "\u{1B}[J" }
        state.lastDrawn = .now
        state.drawn = lines.map(\.cells)
        if !output.isEmpty { StandardStreams.writeErrors(output) }
    }

    // MARK: - Events

    /// What redraws the panel every second and when the terminal changes; it begins with the first use.
    ///
    /// It is only kept, and never changed.
    nonisolated(unsafe) private static let sources: [any DispatchSourceProtocol] = {
        let queue = DispatchQueue(label: "panel")
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + 1, repeating: 1)
        timer.setEventHandler { tick() }
        timer.resume()
        guard controls else { return [timer] }
        atexit { LivePanel.close() }
        return [timer]
            + [SIGWINCH, SIGCONT].map { signal in
                let source = DispatchSource.makeSignalSource(signal: signal, queue: queue)
                // After SIGCONT, the lines above are those of the shell.
                source.setEventHandler { redraw(isFirst: signal == SIGCONT) }
                source.resume()
                return source
            }
    }()

    private static func redraw(isFirst: Bool) {
        state.withLock { state in
            if isFirst { state.drawn = [] }
            write("", &state)
        }
    }

    /// Erases the panel for good, unless another thread is writing, for which this one could wait forever.
    static func close() {
        _ = state.withLockIfAvailable { state in
            state.content = nil
            write("", &state)
            state.isClosed = true
        }
    }

    private static func tick() {
        state.withLock { state in
            guard let content = state.content else { return }
            if controls {
                write("", &state)
            } else if .now >= state.plainLineDue {
                state.silence = longestSilence
                write(content.plainLine().onOneLine() + "\n", &state)
            }
        }
    }
}

/// The rows that lines take on a screen.
package enum PanelRows {
    /// Counts the rows of lines that were drawn before the terminal got its present width.
    ///
    /// Nearly all terminals wrap such lines; xterm and the console of Linux cut them.
    ///
    /// - Parameters:
    ///   - lines: the cells of each line.
    ///   - columns: the width of the terminal.
    ///   - cuts: whether the terminal cuts lines.
    /// - Returns: the number of rows.
    package static func count(of lines: [Int], columns: Int, cuts: Bool) -> Int {
        cuts ? lines.count : lines.reduce(0) { $0 + max(1, ($1 + columns - 1) / columns) }
    }
}
