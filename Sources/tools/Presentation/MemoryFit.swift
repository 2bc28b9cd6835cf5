import CheckpointIO
import Foundation
import TrainLoop
import Transformer

/// Whether work fits into this machine's memory, checked before anything large is loaded.
enum MemoryFit {
    /// Available memory in bytes: free or reclaimable memory and swap, at most the control group's limit.
    ///
    /// nil if the system does not tell.
    static func availableBytes() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
        let available = ["MemAvailable:", "SwapFree:"].reduce(0) { $0 + (field($1, of: text) ?? 0) }
        guard available > 0 else { return nil }
        // The limit of a control group (version 2) includes file pages, which are reclaimed before it is reached.
        let limit = (try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8)).flatMap {
            Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return limit.map { min($0, available) } ?? available
    }

    /// A field of `/proc/meminfo`, which is in kB, in bytes.
    private static func field(_ name: String, of text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
        return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
    }

    /// Checks an amount of memory.
    ///
    /// - Parameters:
    ///   - bytes: the memory that is needed.
    ///   - what: the work, for the error.
    ///   - remedy: what would take less, for the error.
    /// - Throws: `MemoryShortage` if more is needed than is available.
    static func check(_ bytes: Int, for what: String, remedy: String) throws {
        guard let available = availableBytes(), bytes > available else { return }
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

    /// Checks the parameters and moments of a checkpoint to train.
    ///
    /// - Throws: `MemoryShortage`, and errors of the configuration.
    static func checkTraining(_ file: CheckpointFile) throws {
        try check(
            weightsOf: try ModelConfiguration(json: file.metadata.config), bytesPerParameter: 16,
            remedy: "training holds weights, gradients and two moments in fp32; use a smaller model or a larger "
                + "machine")
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
    static func announce(_ parts: [MemoryUse]) throws {
        let sum = parts.reduce(0) { $0 + $1.bytes }
        let available = availableBytes().map { " of \(Format.bytes($0)) free" } ?? ""
        Terminal.writeError("memory: about \(Format.bytes(sum))\(available)")
        try check(sum, for: "this run", remedy: "give a smaller --micro-batch-tokens or shorter samples")
    }
}

/// Work that needs more memory than is available.
struct MemoryShortage: Error, CustomStringConvertible {
    let description: String
}
