import CKernels
import COpenBLAS
import Parallel

/// The number of threads the engine computes with, and the instructions it uses.
///
/// Set the number once, before the first model is used. The engine divides its operations among its own threads and
/// calls OpenBLAS on one thread at a time each, which is as fast as OpenBLAS's threads for large products and faster
/// for small ones (docs/engine.md).
public enum EngineThreads {
    /// Sets the number of threads; without effect once the engine has been used.
    public static func configure(count: Int) { WorkerPool.configure(threadCount: count) }

    /// The number of threads in use: the configured number, or one per processor if none was configured.
    public static var count: Int { WorkerPool.shared.threadCount }

    /// The name and version of the matrix library, and the kind of processor it detected.
    package static var library: String {
        let words = String(cString: openblas_get_config()).split(separator: " ")
        let core = String(cString: openblas_get_corename())
        return words.prefix(2).joined(separator: " ") + " (\(core))"
    }

    /// The widest instruction set that the engine's kernels use on this processor.
    package static var instructionSet: String { String(cString: ckpt_instruction_set()) }

    /// Turns OpenBLAS's threads off when first read; read it before every call of OpenBLAS.
    static let openBLASRunsOnCaller: Void = openblas_set_num_threads(1)
}
