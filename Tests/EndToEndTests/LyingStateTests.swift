import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Training states whose digests are right and whose content no run has saved: `--resume` refuses them in one line.
@Suite struct LyingStateTests {
    private static let sft = "sft/step-000006.h5"
    private static let rl = "rl/step-000004.h5"

    /// The state, a text in its training state, the text that replaces it, and a part of the error.
    static let lies: [(state: String, truth: String, lie: String, error: String)] = [
        (sft, "\"step\": 6", "\"step\": -1", "its step is -1"),
        (sft, "\"step\": 6", "\"step\": 7", "its step is 7"),
        (sft, "\"step\": 6", "\"step\": \(Int.max)", "its step is \(Int.max)"),
        (sft, "\"step\": 6", "\"step\": 1e300", "command, parent or step is missing"),
        (sft, "\"steps\": 6", "\"steps\": 5", "the run has 5 steps"),
        (sft, "\"steps\": 6", "\"steps\": \(Int.max)", "--steps must be at most"),
        (sft, "\"pairs_per_step\": 8", "\"pairs_per_step\": \(1 << 40)", "--batch-pairs must be at most"),
        (sft, "\"epochs\": 1", "\"epochs\": 1e300", "--epochs must be above 0 and at most 1,000,000"),
        (rl, "\"step\": 4", "\"step\": \(Int.min)", "its step is \(Int.min)"),
        (rl, "\"data_position\": 16", "\"data_position\": -1", "its data_position -1"),
        (rl, "\"data_position\": 16", "\"data_position\": \(Int.max)", "its data_position \(Int.max)"),
        (rl, "\"data_position\": 16", "\"data_position\": \(Int.min)", "its data_position \(Int.min)"),
        (rl, "\"data_position\": 16", "\"data_position\": 15", "its data_position 15"),
        (rl, "\"alpha_in_use\": null", "\"alpha_in_use\": -1e999", "its alpha_in_use"),
    ]

    @Test(arguments: lies.indices) func isNotResumed(index: Int) throws {
        let whole = try TinyRun.made.get().folder
        let (state, truth, lie, expected) = Self.lies[index]
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path("run"), withIntermediateDirectories: false)
        let file = try CheckpointFile(path: whole.path(state))
        var metadata = file.metadata
        let text = try #require(metadata.trainingState)
        try #require(text.contains(truth), "\(text)")
        metadata.trainingState = text.replacing(truth, with: lie)
        let tensors = TensorGroup.allCases.flatMap { group in
            file.tensors(in: group).map {
                TensorToWrite(group: group, description: $0.description, content: .copy(file, $0))
            }
        }
        let path = folder.path("run/\(state.suffix(14))")
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: false)
        let isSFT = state == Self.sft
        let result = try Command.ckpt(
            isSFT ? "train-sft" : "train-rl", "--resume", "run", "--data",
            whole.path(isSFT ? "task/train.jsonl" : "task/rl.jsonl"), in: folder)
        #expect(result.status == 2, "\(lie): status \(result.status), \(result.errors)")
        #expect(result.errors.hasPrefix("ckpt: error: ") && result.errors.split(separator: "\n").count == 1)
        #expect(result.errors.contains(expected), "\(lie): \(result.errors)")
        #expect(try folder.names(in: "run") == [String(state.suffix(14))])
    }
}
