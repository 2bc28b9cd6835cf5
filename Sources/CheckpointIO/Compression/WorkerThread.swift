import Glibc

/// A thread of the operating system that runs one body and ends.
struct WorkerThread {
    private let thread: pthread_t

    /// - Throws: `CheckpointError.system` where no thread can be had.
    init(_ body: @escaping @Sendable () -> Void) throws {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Body(run: body))
        let code = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw CheckpointError.system(path: "ckpt", operation: "start a thread", code: code)
        }
        self.thread = thread
    }

    /// Starts a thread that nobody waits for.
    static func startDetached(_ body: @escaping @Sendable () -> Void) throws { pthread_detach(try Self(body).thread) }

    /// Waits for the end of the body. Called once.
    func join() { pthread_join(thread, nil) }

    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
