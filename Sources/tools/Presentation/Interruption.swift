import Parallel
import Synchronization

/// A signal as a request that a loop checks, so that it does not end the process in the middle of a step.
///
/// A second signal ends the process at once.
final class Interruption: Sendable {
    private let notice: String
    private let first = Atomic<Int32>(0)

    var isRequested: Bool { signal != nil }

    /// The signal that asked the loop to stop.
    var signal: Int32? {
        let signal = first.load(ordering: .relaxed)
        return signal == 0 ? nil : signal
    }

    private init(_ notice: String) { self.notice = notice }

    /// Runs `body` while SIGINT, SIGTERM, SIGHUP and SIGUSR1 are turned into requests.
    ///
    /// - Parameters:
    ///   - notice: the message on the first signal.
    ///   - body: the work, which checks `isRequested`.
    /// - Returns: the result of `body`.
    static func watching<Result>(
        notice: String = "finishing this step, then saving; press again to stop at once",
        _ body: (Interruption) throws -> Result
    ) rethrows -> Result {
        let interruption = Interruption(notice)
        TerminationSignals.ask(interruption)
        defer { TerminationSignals.ask(nil) }
        return try body(interruption)
    }

    /// The same for work that is asynchronous.
    static func watching<Result>(
        notice: String, _ body: (Interruption) async throws -> Result
    ) async rethrows -> Result {
        let interruption = Interruption(notice)
        TerminationSignals.ask(interruption)
        defer { TerminationSignals.ask(nil) }
        return try await body(interruption)
    }

    /// Returns false if it was asked before.
    func request(by signal: Int32) -> Bool {
        guard first.compareExchange(expected: 0, desired: signal, ordering: .relaxed).exchanged else { return false }
        // On a thread of its own, because stderr may be a pipe that nobody reads.
        try? WorkerThread.startDetached { [notice] in Terminal.writeError("\n" + notice) }
        return true
    }
}
