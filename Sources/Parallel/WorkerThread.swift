import CSystem
import Glibc

/// The operating system could not start a thread.
package struct ThreadError: Error, Equatable, CustomStringConvertible {
    /// The value of `errno` that `pthread_create` returned.
    package let code: Int32

    package var description: String {
        "cannot start a thread: \(String(cString: strerror(code))); raise the limits of this process (ulimit -v, ulimit -u)"
    }
}

/// A POSIX thread that runs one closure and ends.
package struct WorkerThread {
    private let thread: pthread_t

    /// Starts a thread that runs `body`.
    ///
    /// - Parameters:
    ///   - stackByteCount: the size of the stack; the system's default if nil.
    ///   - name: shown by debuggers and `top -H`; the kernel keeps 15 bytes.
    ///   - body: what the thread runs.
    /// - Throws: `ThreadError` if the system refuses.
    package init(
        stackByteCount: Int? = nil, name: String? = nil, _ body: @escaping @Sendable () -> Void
    ) throws {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if let stackByteCount { pthread_attr_setstacksize(&attributes, stackByteCount) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Body(run: body))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw ThreadError(code: code)
        }
        if let name { pthread_setname_np(thread, name) }
        self.thread = thread
    }

    /// Starts a thread that no one joins.
    ///
    /// - Throws: `ThreadError` if the system refuses.
    package static func startDetached(
        stackByteCount: Int? = nil, name: String? = nil, _ body: @escaping @Sendable () -> Void
    ) throws {
        pthread_detach(try Self(stackByteCount: stackByteCount, name: name, body).thread)
    }

    /// Waits until the body has returned; call it exactly once.
    package func join() { pthread_join(thread, nil) }

    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
