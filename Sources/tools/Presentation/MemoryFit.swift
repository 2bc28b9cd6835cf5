import CheckpointIO
import Parallel
import TrainLoop
import Transformer

/// Whether work fits into this machine's memory, checked before anything large is loaded.
enum MemoryFit {
    /// Checks an amount of memory.
    ///
    /// - Parameters:
    ///   - bytes: the memory that is needed.
    ///   - what: the work, for the error.
    ///   - remedy: what would take less, for the error.
    /// - Throws: `MemoryShortage` if more is needed than is available.
    static func check(_ bytes: Int, for what: String, remedy: String) throws {
        guard let available = SystemMemory.available(), bytes > available else { return }
        throw MemoryShortage(
            description:
                "\(what) would take about \(Format.bytes(bytes)) of memory and \(Format.bytes(available)) are free; "
                + remedy)
    }

    /// Checks the weights of a model before they are loaded.
    ///
    /// - Throws: `MemoryShortage`.
    static func check(weightsOf configuration: ModelConfiguration, bytesPerParameter: Int, remedy: String) throws {
        let count = configuration.parameterCount
        try check(
            bytesPerParameter * count,
            for: "\(Format.grouped(count)) parameters at \(bytesPerParameter) bytes each", remedy: remedy)
    }

    /// Checks the parts of a run that are allocated before anything else is known of it.
    ///
    /// - Throws: `MemoryShortage`.
    static func checkTraining(_ parts: [MemoryUse]) throws {
        try check(
            parts.bytes, for: parts.map { "\($0.purpose) (\(Format.bytes($0.bytes)))" }.joined(separator: ", "),
            remedy: "--lora, --moments 8bit and --weights bf16 take less, and so does a smaller model")
    }

    /// Checks the weights of a checkpoint for inference.
    ///
    /// - Throws: `MemoryShortage`, and errors of the configuration.
    static func check(weightsOf file: CheckpointFile, _ precision: WeightPrecision) throws {
        try check(
            weightsOf: try ModelConfiguration(json: file.metadata.config),
            bytesPerParameter: precision.bytesPerParameter,
            remedy: precision == .fp32 ? "--weights bf16 needs half of it" : "use a larger machine")
    }

    /// Prints the memory that a run will take on stderr.
    ///
    /// - Throws: `MemoryShortage` if it is more than is available.
    static func announce(
        _ parts: [MemoryUse],
        remedy: String =
            "--recompute always, with --activations bf16, a smaller --micro-batch-tokens and shorter samples "
            + "take less"
    ) throws {
        let allocated = parts.bytes - parts.bytesToAllocate
        let available = SystemMemory.available().map { " of \(Format.bytes($0 + allocated)) free" } ?? ""
        Terminal.writeError("memory: about \(Format.bytes(parts.bytes))\(available)")
        try check(parts.bytesToAllocate, for: "the rest of this run", remedy: remedy)
    }
}

/// Work that needs more memory than is available.
struct MemoryShortage: Error, CustomStringConvertible {
    let description: String
}
