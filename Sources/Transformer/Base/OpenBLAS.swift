import CKernels
import Glibc
import Parallel

/// The functions of OpenBLAS, which is loaded before the first model is.
///
/// The library is not linked: when it is loaded it starts its own threads and maps a buffer of 128 MB for each, before
/// `main`, and it retries for ever if the address space is too small. Here it is loaded with its threads off, after
/// that much address space was seen to be free, and the buffers of the engine's threads are mapped at once.
struct OpenBLAS: Sendable {
    // The types are those of cblas.h; its enumerations and `blasint` are `int` in C.
    typealias MatrixProduct =
        @convention(c) @Sendable (
            _ order: Int32, _ transposeLeft: Int32, _ transposeRight: Int32, _ m: Int32, _ n: Int32, _ k: Int32,
            _ alpha: Float, _ a: UnsafePointer<Float>, _ lda: Int32, _ b: UnsafePointer<Float>, _ ldb: Int32,
            _ beta: Float, _ c: UnsafeMutablePointer<Float>, _ ldc: Int32
        ) -> Void
    typealias VectorProduct =
        @convention(c) @Sendable (
            _ order: Int32, _ transpose: Int32, _ m: Int32, _ n: Int32, _ alpha: Float, _ a: UnsafePointer<Float>,
            _ lda: Int32, _ x: UnsafePointer<Float>, _ xStep: Int32, _ beta: Float, _ y: UnsafeMutablePointer<Float>,
            _ yStep: Int32
        ) -> Void
    private typealias SetThreads = @convention(c) (Int32) -> Void
    private typealias Text = @convention(c) @Sendable () -> UnsafePointer<CChar>
    private typealias AllocateBuffer = @convention(c) (Int32) -> UnsafeMutableRawPointer?
    private typealias FreeBuffer = @convention(c) (UnsafeMutableRawPointer?) -> Void

    static let rowMajor: Int32 = 101
    static let asStored: Int32 = 111
    static let transposed: Int32 = 112

    let sgemm: MatrixProduct
    let sgemv: VectorProduct
    private let configuration: Text
    private let processor: Text

    /// The name and version of the library, and the kind of processor it detected.
    var description: String {
        let words = String(cString: configuration()).split(separator: " ")
        return words.prefix(2).joined(separator: " ") + " (\(String(cString: processor())))"
    }

    /// The address space of one buffer, on any processor.
    private static let bufferBytes = 128 << 20

    private static let result = Result { try OpenBLAS(threadCount: WorkerPool.shared.threadCount) }

    /// Loads the library, once.
    ///
    /// - Throws: `OpenBLASError` if it is missing, `MemoryLimitError` if the address space is too small.
    static func prepare() throws { _ = try result.get() }

    /// The library; `prepare` has been called where it may fail.
    static var shared: OpenBLAS {
        switch result {
        case .success(let library): return library
        case .failure(let error): fatalError("\(error)")
        }
    }

    private init(threadCount: Int) throws {
        try SystemMemory.checkAddressSpace(
            for: Self.bufferBytes * (threadCount + 1), purpose: "the buffers of OpenBLAS for \(threadCount) threads")
        let name = "OPENBLAS_NUM_THREADS"
        let given = getenv(name).map { String(cString: $0) }
        setenv(name, "1", 1)
        // Programs that this one starts get what the user set.
        defer { if let given { setenv(name, given, 1) } else { unsetenv(name) } }
        try Self.openForProcessor()
        func function<Function>(_ name: String, _ type: Function.Type) throws -> Function {
            // The default order finds a preloaded library first, as for a library that is linked.
            guard let address = dlsym(nil, name) else { throw OpenBLASError(reason: "it has no function \(name)") }
            return unsafeBitCast(address, to: type)
        }
        sgemm = try function("cblas_sgemm", MatrixProduct.self)
        sgemv = try function("cblas_sgemv", VectorProduct.self)
        try function("openblas_set_num_threads", SetThreads.self)(1)
        configuration = try function("openblas_get_config", Text.self)
        processor = try function("openblas_get_corename", Text.self)
        // A library that hides these maps its buffers later, in address space that was seen to be free.
        if let allocate = try? function("blas_memory_alloc", AllocateBuffer.self),
            let free = try? function("blas_memory_free", FreeBuffer.self)
        {
            let buffers = (0..<threadCount).map { _ in allocate(0) }
            for buffer in buffers { free(buffer) }
        }
    }
}

// MARK: - Kernels for a processor that the library does not know

extension OpenBLAS {
    /// Kinds of processors, as the library names them, whose kernels use AVX2 or more.
    private static let modernKinds: Set<String> = [
        "haswell", "zen", "skylakex", "cooperlake", "sapphirerapids",
    ]

    /// Loads the library.
    ///
    /// A processor that is newer than the library has the kernels of the oldest one, which use SSE3 alone. Such a
    /// library is loaded again for a kind that has the instructions of this processor. The environment variable
    /// OPENBLAS_CORETYPE, where it is set, decides instead.
    private static func openForProcessor() throws {
        let name = "OPENBLAS_CORETYPE"
        let handle = try open()
        let kind = ["AVX512-BF16": "SkylakeX", "AVX-512": "SkylakeX", "AVX2": "Haswell"][
            String(cString: ckpt_instruction_set())]
        guard let kind, getenv(name) == nil, let address = dlsym(handle, "openblas_get_corename"),
            !modernKinds.contains(String(cString: unsafeBitCast(address, to: Text.self)()).lowercased())
        else { return }
        dlclose(handle)
        setenv(name, kind, 1)
        defer { unsetenv(name) }
        _ = try open()
    }

    private static func open() throws -> UnsafeMutableRawPointer {
        guard let handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_GLOBAL) else {
            throw OpenBLASError(reason: dlerror().map { String(cString: $0) } ?? "it cannot be loaded")
        }
        return handle
    }
}

/// OpenBLAS cannot be used.
package struct OpenBLASError: Error, CustomStringConvertible {
    let reason: String

    package var description: String { "OpenBLAS: \(reason); install libopenblas0" }
}
