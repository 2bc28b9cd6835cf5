import CHDF5
import Glibc
import Synchronization

/// The one thread that calls libhdf5, which is neither built nor meant for several.
///
/// On start it keeps the library from closing files at exit (another thread may still be at work then), turns its
/// printing of errors off, forbids plugins, and registers the zstd filter, which the library wants to know before it
/// creates a dataset although chunks arrive compressed.
package final class HDF5Thread: Sendable {
    private struct Queue {
        var jobs: [@Sendable () -> Void] = []
        var isStarted = false
    }

    package static let shared = HDF5Thread()

    private let queue = Mutex<Queue>(Queue())
    private let available = Semaphore()

    private init() {}

    /// Runs `body` on the thread and waits for it.
    /// - Throws: what `body` throws, or `CheckpointError.system` where no thread can be started.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        try start(body).wait()
    }

    /// Has `body` run on the thread, after what was started before.
    /// - Throws: `CheckpointError.system` where no thread can be started.
    func start<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> HDF5Job<Result> {
        try startIfNeeded()
        let job = HDF5Job<Result>()
        queue.withLock { queue in
            queue.jobs.append {
                job.result.withLock { $0 = Swift.Result(catching: body) }
                job.done.signal()
            }
        }
        available.signal()
        return job
    }

    private func startIfNeeded() throws {
        try queue.withLock { queue in
            guard !queue.isStarted else { return }
            var thread = pthread_t()
            let code = pthread_create(
                &thread, nil,
                { _ in
                    HDF5Thread.shared.serve()
                    return nil
                }, nil)
            guard code == 0 else {
                throw CheckpointError.system(path: "libhdf5", operation: "start its thread", code: code)
            }
            pthread_detach(thread)
            queue.isStarted = true
        }
    }

    private func serve() {
        H5dont_atexit()
        H5open()
        H5Eset_auto2(ckpt_h5e_default(), nil, nil)
        H5PLset_loading_state(0)
        ZstdFilterRegistration.register()
        while true {
            available.wait()
            let job = queue.withLock { $0.jobs.removeFirst() }
            job()
        }
    }
}

/// Something that runs, or will run, on `HDF5Thread`.
final class HDF5Job<Value: Sendable>: Sendable {
    fileprivate let result = Mutex<Result<Value, any Error>?>(nil)
    fileprivate let done = Semaphore()

    /// Waits for the end. Called once.
    func wait() throws -> Value {
        done.wait()
        return try result.withLock { $0! }.get()
    }
}

/// A counting semaphore of the operating system.
final class Semaphore: @unchecked Sendable {
    // The semaphore must not move in memory; only sem_* functions touch it.
    private let storage = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init(_ value: Int = 0) { sem_init(storage, 0, UInt32(value)) }

    deinit {
        sem_destroy(storage)
        storage.deallocate()
    }

    func signal() { sem_post(storage) }

    func wait() { while sem_wait(storage) != 0 {} }
}

/// The zstd filter as libhdf5 has to know it to create datasets that use it. It never filters: chunks are written
/// compressed, and input is never read through libhdf5.
private enum ZstdFilterRegistration {
    static let name: StaticString = "zstd"

    static func register() {
        var filter = H5Z_class2_t()
        filter.version = H5Z_CLASS_T_VERS
        filter.id = H5Z_filter_t(CheckpointLayout.zstdFilter)
        filter.encoder_present = 1
        filter.decoder_present = 1
        name.withUTF8Buffer {
            filter.name = UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: CChar.self)
        }
        filter.filter = { _, _, _, _, _, _ in 0 }
        H5Zregister(&filter)
    }
}
