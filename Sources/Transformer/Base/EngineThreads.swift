import CKernels
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

    /// Loads the matrix library; call it before the first product, where an error can be reported.
    ///
    /// - Throws: `OpenBLASError` if it is missing, `MemoryLimitError` if the address space is too small for it.
    package static func prepare() throws { try OpenBLAS.prepare() }

    /// The name and version of the matrix library, and the kind of processor it detected; or why it cannot be used.
    package static var library: String {
        do { try prepare() } catch { return "\(error)" }
        return OpenBLAS.shared.description
    }

    /// The widest instruction set that the engine's kernels use on this processor.
    package static var instructionSet: String { String(cString: ckpt_instruction_set()) }
}
