import Foundation
import Synchronization

/// Ctrl-C and SIGTERM as a request that a loop checks, so that they do not end the process in the middle of a step.
///
/// A second signal ends the process at once.
final class Interruption: Sendable {
    private let requested = Atomic<Bool>(false)

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// Runs `body` while signals are turned into requests.
    ///
    /// - Parameters:
    ///   - notice: the message on the first signal.
    ///   - body: the work, which checks `isRequested`.
    /// - Returns: the result of `body`.
    static func watching<Result>(
        notice: String = "finishing this step, then saving; press again to stop at once",
        _ body: (Interruption) throws -> Result
    ) rethrows -> Result {
        let interruption = Interruption()
        let sources = interruption.listen(notice)
        defer { Self.restore(sources) }
        return try body(interruption)
    }

    /// The same for work that is asynchronous.
    static func watching<Result>(
        notice: String, _ body: (Interruption) async throws -> Result
    ) async rethrows -> Result {
        let interruption = Interruption()
        let sources = interruption.listen(notice)
        defer { Self.restore(sources) }
        return try await body(interruption)
    }

    private func listen(_ notice: String) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { signal in
            Foundation.signal(signal, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: signal, queue: .global())
            source.setEventHandler {
                if self.isRequested { Foundation.exit(128 + signal) }
                self.requested.store(true, ordering: .relaxed)
                Terminal.writeError("\n" + notice)
            }
            source.resume()
            return source
        }
    }

    private static func restore(_ sources: [any DispatchSourceSignal]) {
        for source in sources { source.cancel() }
        for signal in [SIGINT, SIGTERM] { Foundation.signal(signal, SIG_DFL) }
    }
}
