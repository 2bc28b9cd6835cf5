import CheckpointIO
import Foundation
import Parallel
import Synchronization

/// Signals that end the process after its temporary files are removed, or ask a loop to stop: SIGINT, SIGTERM, SIGHUP,
/// and SIGUSR1, which schedulers of clusters send before they end a job.
///
/// The process dies by the signal itself. A shell shows that as 130, 143, 129 or 138, and stops a script at Ctrl-C,
/// which it would not do after an ordinary exit. A signal that is ignored at the start, as under `nohup`, stays
/// ignored.
enum TerminationSignals {
    /// The last signal that arrived.
    private static let latest = Atomic<Int32>(0)
    /// Counts signals that the thread has not handled yet; a handler may call little more than `sem_post`.
    nonisolated(unsafe) private static let arrivals = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    /// The loop that a signal asks to stop.
    private static let loop = Mutex<Interruption?>(nil)

    /// Starts a thread that handles the signals; without a thread they end the process as usual.
    static func prepare() {
        sem_init(arrivals, 0, 0)
        latest.store(0, ordering: .relaxed)
        guard (try? WorkerThread.startDetached(stackByteCount: 1 << 19, name: "signals") { handleAll() }) != nil else {
            return
        }
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
            var action = sigaction()
            sigaction(signal, nil, &action)
            guard unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) != ignored else { continue }
            action = sigaction()
            action.sa_flags = SA_RESTART
            action.__sigaction_handler.sa_handler = { signal in
                let failure = errno
                TerminationSignals.latest.store(signal, ordering: .relaxed)
                sem_post(TerminationSignals.arrivals)
                errno = failure
            }
            sigaction(signal, &action, nil)
        }
    }

    private static let ignored = unsafeBitCast(SIG_IGN, to: Int.self)

    /// Makes signals requests to a loop, or, with nil, the end of the process.
    static func ask(_ interruption: Interruption?) { loop.withLock { $0 = interruption } }

    private static func handleAll() {
        while true {
            guard sem_wait(arrivals) == 0 else { continue }
            let signal = latest.load(ordering: .relaxed)
            let isRequest = loop.withLock { $0?.request(by: signal) ?? false }
            if !isRequest { end(by: signal) }
        }
    }

    /// Removes the live panel and temporary files, and ends the process by a signal.
    static func end(by signal: Int32) -> Never {
        LivePanel.close()
        TemporaryPaths.removeAll {
            Foundation.signal(signal, SIG_DFL)
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, signal)
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            raise(signal)
            // The first process of a container does not die by its own signal.
            _exit(128 + signal)
        }
    }
}

/// The end of a command that a signal stopped, after it has said how to go on.
struct StoppedBySignal: Error {
    let signal: Int32
}
