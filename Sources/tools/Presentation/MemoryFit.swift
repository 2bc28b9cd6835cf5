import CheckpointIO
import Foundation
import Transformer

/// Whether work fits into this machine's memory: said before a run, and refused before anything large is loaded.
enum MemoryFit {
    /// Bytes that can be had now: what the system could free, swap, and no more than the control group's limit.
    static func availableBytes() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
        let available = ["MemAvailable:", "SwapFree:"].reduce(0) { $0 + (field($1, of: text) ?? 0) }
        guard available > 0 else { return nil }
        // A limit of the control group (version 2) counts pages of files too, which are given up before it is reached.
        let limit = (try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8)).flatMap {
            Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return limit.map { min($0, available) } ?? available
    }

    /// - Parameter text: of `/proc/meminfo`, in kB.
    private static func field(_ name: String, of text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
        return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
    }

    /// - Parameters:
    ///   - what: what takes the memory, in words.
    ///   - remedy: what would take less, in words.
    /// - Throws: `Refusal` where more is needed than there is.
    static func check(_ bytes: Int, for what: String, remedy: String) throws {
        guard let available = availableBytes(), bytes > available else { return }
        throw Refusal(
            description:
                "\(what) would take about \(Format.bytes(bytes)) of memory and \(Format.bytes(available)) are free; "
                + remedy)
    }

    /// Weights alone, before they are loaded.
    static func check(weightsOf configuration: ModelConfiguration, bytesPerParameter: Int, remedy: String) throws {
        let count = configuration.parameterCount
        try check(
            bytesPerParameter * count,
            for: "\(Format.grouped(count)) parameters at \(bytesPerParameter) bytes each", remedy: remedy)
    }

    /// The same of a checkpoint for inference.
    static func check(weightsOf file: CheckpointFile, _ precision: WeightPrecision) throws {
        try check(
            weightsOf: try ModelConfiguration(json: file.metadata.config),
            bytesPerParameter: precision.bytesPerParameter,
            remedy: precision == .fp32 ? "--weights bf16 needs half of it" : "use a larger machine")
    }

    /// Says what a run will take, and refuses where that is more than there is.
    static func announce(_ parts: [(what: String, bytes: Int)]) throws {
        let sum = parts.reduce(0) { $0 + $1.bytes }
        let available = availableBytes().map { " of \(Format.bytes($0)) free" } ?? ""
        Terminal.writeError("memory: about \(Format.bytes(sum))\(available)")
        try check(sum, for: "this run", remedy: "give a smaller --micro-batch-tokens or shorter samples")
    }

    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }
}
