import Foundation
import TestSupport

/// A terminal of a given size, which tmux shows to nobody, with a shell in it.
final class TerminalWindow {
    private let folder: TemporaryFolder
    private let socket: TemporaryFolder

    /// Opens the terminal.
    ///
    /// - Parameters:
    ///   - folder: the folder in which the shell begins; `ckpt` there is the program.
    ///   - columns: the width in cells.
    ///   - rows: the height in cells.
    /// - Throws: if tmux cannot be run.
    init(in folder: TemporaryFolder, columns: Int, rows: Int = 24) throws {
        self.folder = folder
        socket = try TemporaryFolder()
        try folder.write("exec '\(Command.ckptPath)' \"$@\"\n", to: "ckpt")
        try tmux(
            "new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-c", folder.path,
            "env -u NO_COLOR PS1='$ ' bash --norc --noprofile")
        guard wait(until: { $0.last == "$" }) else { throw CommandFailure(["tmux"], try tmux("list-sessions")) }
    }

    deinit {
        let shell = (try? tmux("display", "-p", "#{pane_pid}").output).flatMap { Int32($0.filter(\.isNumber)) }
        _ = try? tmux("kill-server")
        // A run that a failed test leaves would go on.
        if let shell { Self.processes(ofSession: shell).forEach { kill($0, SIGKILL) } }
    }

    /// The processes of a session, which the shell leads.
    private static func processes(ofSession leader: Int32) -> [Int32] {
        let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        return numbers.filter { number in
            let status = (try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8)) ?? ""
            // Behind the name in brackets: state, parent, group, session.
            let fields = status[(status.lastIndex(of: ")") ?? status.startIndex)...].split(separator: " ")
            return fields.count > 4 && Int32(fields[4]) == leader
        }
    }

    /// Runs tmux without the descriptors above 2: its server would keep one by which `Process` notices an end.
    @discardableResult
    private func tmux(_ arguments: String...) throws -> CommandResult {
        let script = """
            for file in /proc/self/fd/*; do [ ${file##*/} -le 2 ] || eval "exec ${file##*/}>&-"; done
            exec tmux -u -f /dev/null -S "$@"
            """
        return try Command.run(
            "bash", ["-c", script, "bash", socket.path("tmux")] + arguments, in: folder,
            environment: ["LC_ALL": "C.UTF-8"])
    }

    /// Types keys, such as `C-c`.
    func type(_ keys: String...) throws { for key in keys { try tmux("send-keys", key) } }

    /// Types a command and the Enter key.
    func run(_ command: String) throws { try type(command, "Enter") }

    func resize(columns: Int, rows: Int = 24) throws {
        try tmux("resize-window", "-x", "\(columns)", "-y", "\(rows)")
    }

    /// The lines on the screen, without empty ones at the end.
    func lines() throws -> [String] { Self.lines(try tmux("capture-pane", "-p").output) }

    /// All lines since the terminal was opened; those that it wrapped are one.
    func unwrappedLines() throws -> [String] {
        Self.lines(try tmux("capture-pane", "-p", "-J", "-S", "-").output)
    }

    private static func lines(_ text: String) -> [String] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
        while lines.last == "" { lines.removeLast() }
        return lines
    }

    var cursor: (isVisible: Bool, column: Int) {
        get throws {
            let parts = try tmux("display", "-p", "#{cursor_flag} #{cursor_x}").output.split { $0 == " " || $0 == "\n" }
            return (parts.first == "1", parts.last.flatMap { Int($0) } ?? -1)
        }
    }

    /// Waits up to 40 seconds until the screen is as asked.
    func wait(until isReady: ([String]) -> Bool) -> Bool {
        for _ in 0..<400 {
            if let lines = try? lines(), isReady(lines) { return true }
            usleep(100_000)
        }
        return false
    }
}
