import Foundation
import Synchronization

/// Ctrl-C and SIGTERM as a wish that a loop looks at, instead of death in the middle of a step.
///
/// A second signal ends the process at once, as a person expects of it.
final class Interruption: Sendable {
    private let requested = Atomic<Bool>(false)

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// - Parameter notice: what is said when the wish arrives.
    static func watching<Result>(
        notice: String = "finishing this step, then saving; once more to stop at once",
        _ body: (Interruption) throws -> Result
    ) rethrows -> Result {
        let interruption = Interruption()
        let sources = interruption.listen(notice)
        defer { Self.ignoreNoMore(sources) }
        return try body(interruption)
    }

    /// - Parameter notice: what the first signal says.
    static func watching<Result>(
        notice: String, _ body: (Interruption) async throws -> Result
    ) async rethrows -> Result {
        let interruption = Interruption()
        let sources = interruption.listen(notice)
        defer { Self.ignoreNoMore(sources) }
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

    private static func ignoreNoMore(_ sources: [any DispatchSourceSignal]) {
        for source in sources { source.cancel() }
        for signal in [SIGINT, SIGTERM] { Foundation.signal(signal, SIG_DFL) }
    }
}
