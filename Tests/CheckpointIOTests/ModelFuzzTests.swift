import CheckpointIO
import Foundation
import Parallel
import TestSupport
import Testing

/// Damaged models give an error or a model, never a crash.
///
/// By default, this runs for a second with fixed seeds; with CKPT_FUZZ_SECONDS=600 it goes on with random ones. A crash
/// leaves its input in the folder that is printed at the start.
@Suite struct ModelFuzzTests {
    struct Target: CustomTestStringConvertible, Sendable {
        /// The file that is damaged, in the folder of fixtures.
        var testDescription: String
        /// The model that is opened, in the same folder.
        var opened: String
        /// The number of bytes at the start of the file that are damaged.
        var reach: Int
    }

    static let targets = [
        Target(testDescription: "llama-tied-bf16/model.safetensors", opened: "llama-tied-bf16", reach: 2500),
        Target(
            testDescription: "qwen2-sharded-f32/model.safetensors.index.json", opened: "qwen2-sharded-f32",
            reach: .max),
        Target(testDescription: "llama-tied-bf16/config.json", opened: "llama-tied-bf16", reach: .max),
        Target(testDescription: "llama-tied-bf16/tokenizer.json", opened: "llama-tied-bf16", reach: .max),
        Target(testDescription: "llama-tied-bf16/tokenizer_config.json", opened: "llama-tied-bf16", reach: .max),
        Target(testDescription: "llama-quantised.gguf", opened: "llama-quantised.gguf", reach: 12_000),
        Target(testDescription: "qwen3-bf16.gguf", opened: "qwen3-bf16.gguf", reach: 12_000),
    ]

    @Test(arguments: targets)
    func damageIsAnErrorOrHarmless(target: Target) throws {
        let seconds = ProcessInfo.processInfo.environment["CKPT_FUZZ_SECONDS"].flatMap(Double.init)
        let deadline = ContinuousClock.now + .seconds(seconds ?? 0)
        try withTemporaryFolder { folder in
            if seconds != nil { print("fuzzing \(target.testDescription) in \(folder.path)") }
            let name = target.opened.split(separator: "/")[0]
            try FileManager.default.copyItem(
                at: ModelFixtures.folder.appendingPathComponent(String(name)),
                to: folder.appendingPathComponent(String(name)))
            let changed = folder.appendingPathComponent(target.testDescription)
            let original = try [UInt8](Data(contentsOf: changed))
            var random = SplitMix64(seed: seconds == nil ? 1 : UInt64.random(in: 0...UInt64.max))
            var refused = 0
            var count = 0
            while count < 150 || ContinuousClock.now < deadline {
                let bytes = Self.damaged(original, reach: target.reach, &random)
                try Data(bytes).write(to: changed)
                count += 1
                do {
                    let model = try ModelImport.open(path: folder.appendingPathComponent(target.opened).path)
                    try Self.readEverything(model)
                    try Self.export(model, to: folder)
                } catch {
                    refused += 1
                    // A single line of bounded length, regardless of names in the file.
                    let text = "\(error)"
                    #expect(!text.contains("\n") && text.count < 2000)
                }
            }
            #expect(refused > 0)
        }
    }

    private static func readEverything(_ model: ImportedModel) throws {
        for tensor in model.source.tensors {
            let count = min(tensor.byteCount, 1 << 20)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
            defer { buffer.deallocate() }
            try model.source.read(tensor.name, range: tensor.byteCount - count..<tensor.byteCount, into: buffer)
        }
    }

    /// Exports a model that opened, so that its texts pass through the exporters too.
    private static func export(_ model: ImportedModel, to folder: URL) throws {
        let output = folder.appendingPathComponent("out").path
        try HuggingFaceExport.write(model.metadata, model.source, to: output, overwrite: true)
        try GGUFExport.write(model.metadata, model.source, to: output + ".gguf", overwrite: true)
    }

    /// Makes one to four changes: flipped bits, extreme numbers, removed, duplicated or replaced parts, and truncation.
    private static func damaged(_ original: [UInt8], reach: Int, _ random: inout SplitMix64) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard bytes.count > 16 else { break }
            let limit = min(reach, bytes.count)
            let at = Int.random(in: 0..<limit, using: &random)
            let length = min(Int.random(in: 1...24, using: &random), bytes.count - at)
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 3: bytes.removeSubrange(at..<at + length)
            case 4: bytes.insert(contentsOf: bytes[at..<at + length], at: at)
            case 5:
                let edge = UInt8([0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0)
                for index in at..<min(at + 8, bytes.count) { bytes[index] = edge }
            case 6:
                let words = ["-1", "9223372036854775807", "1e999", "null", "\"\"", "{}", "[[[[", "\u{0}", "0"]
                bytes.replaceSubrange(at..<at + length, with: (words.randomElement(using: &random) ?? "").utf8)
            default: bytes.removeSubrange((bytes.count - min(length, bytes.count))...)
            }
        }
        return bytes
    }
}
