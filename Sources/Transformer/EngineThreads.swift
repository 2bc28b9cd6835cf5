import CKernels
import COpenBLAS
import Parallel

/// How many threads the engine computes with, and with which instructions. Set the number once, before the first model
/// is used.
///
/// OpenBLAS always runs on the calling thread: the engine cuts its operations itself, which measured as fast as
/// OpenBLAS's own threads on large products and faster on small ones (docs/engine.md), and leaves one set of threads for
/// everything.
public enum EngineThreads {
    /// Sets the number of threads. It has no effect once the engine has been used.
    public static func configure(count: Int) { WorkerPool.configure(threadCount: count) }

    /// The number of threads in use: the configured number, otherwise one per processor.
    public static var count: Int { WorkerPool.shared.threadCount }

    /// The library that multiplies matrices, with its version and the kind of processor it found.
    public static var library: String {
        let words = String(cString: openblas_get_config()).split(separator: " ")
        let core = String(cString: openblas_get_corename())
        return words.prefix(2).joined(separator: " ") + " (\(core))"
    }

    /// The widest instructions that the engine's own kernels use on this processor.
    public static var vectors: String { String(cString: ckpt_vectors()) }

    /// Turns OpenBLAS's own threads off. Read before OpenBLAS multiplies.
    static let openBLASRunsOnCaller: Void = openblas_set_num_threads(1)
}
