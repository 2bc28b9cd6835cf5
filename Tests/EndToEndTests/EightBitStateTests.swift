import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Training states with moments in 8 bits.
@Suite struct EightBitStateTests {
    private static let down = "model.layers.0.mlp.down_proj.weight"

    /// A state after two steps, and the folder of its run.
    private func state() throws -> (folder: TemporaryFolder, file: CheckpointFile) {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder(inMemory: true)
        let result = try Command.ckpt(
            "train-sft", whole.path("tokens.h5"), "-o", "run", "--data", whole.path("task/train.jsonl"), "--steps", "2",
            "--batch-pairs", "3", "--eval-problems", "0", "--moments", "8bit", in: folder)
        try #require(result.status == 0, "\(result.errors)")
        return (folder, try CheckpointFile(path: folder.path("run/step-000002.h5")))
    }

    @Test func holdsCodesAndScales() throws {
        let (folder, file) = try state()
        #expect(file.metadata.optimizer?.moments == "8bit")
        for group in [TensorGroup.optimizerM, .optimizerV] {
            let codes = try #require(file.tensor(Self.down, in: group)).description
            let scales = try #require(file.tensor(Self.down + "_scale", in: group)).description
            #expect(codes.elementType == .uint8 && codes.shape == file.tensor(Self.down)?.description.shape)
            #expect(scales.elementType == .float32 && scales.shape == [codes.shape[0], (codes.shape[1] + 255) / 256])
            #expect(file.tensor("model.norm.weight", in: group)?.description.elementType == .float32)
        }
        for arguments in [
            ["verify", file.path], ["inspect", file.path], ["diff", file.path, file.path],
            ["rename", file.path, "model.*=base.*", "-o", "renamed.h5"],
            ["resize-vocab", file.path, "-o", "padded.h5", "--pad-to-multiple-of", "128"],
        ] {
            let result = try Command.run(Command.ckptPath, arguments, in: folder)
            #expect(result.status == 0, "\(arguments): \(result.errors)")
        }
        let renamed = try CheckpointFile(path: folder.path("renamed.h5"))
        #expect(renamed.tensor("base.layers.0.mlp.down_proj.weight_scale", in: .optimizerV) != nil)
        let padded = try CheckpointFile(path: folder.path("padded.h5"))
        for name in ["", "_scale"].map({ "model.embed_tokens.weight" + $0 }) {
            #expect(try #require(padded.tensor(name, in: .optimizerM)).description.shape[0] % 128 == 0)
        }
    }

    /// What is wrong with a state, and a part of the error.
    private enum Lie: CaseIterable {
        case negative, notANumber, noScale, otherType, otherShape, otherFormat, noFormat

        var error: String {
            switch self {
            case .negative, .notANumber: "_scale holds a number that is negative or not finite"
            case .noScale: "it has no /optimizer/v/\(down)_scale"
            case .otherType: "/optimizer/v/\(down) is int8, not uint8"
            case .otherShape: "_scale has shape"
            case .otherFormat: "has moments in a format other than 8bit"
            case .noFormat: "its moments are not in the format that its options name"
            }
        }

        /// The tensor instead of the moment that the lie is about; nil for none.
        func tensor(_ old: StoredTensor, _ bytes: [UInt8]) -> (TensorDescription, [UInt8])? {
            var description = old.description
            var bytes = bytes
            let isScale = description.name == down + "_scale"
            guard isScale || description.name == down else { return (description, bytes) }
            switch self {
            case .negative: if isScale { bytes[3] |= 0x80 }
            case .notANumber: if isScale { bytes.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F]) }
            case .noScale: if isScale { return nil }
            case .otherType: if !isScale { description.elementType = .int8 }
            case .otherShape: if isScale { description.shape = [1] + description.shape }
            case .otherFormat, .noFormat: break
            }
            return (description, bytes)
        }
    }

    @Test func hostileMomentsAreRefused() throws {
        let (folder, file) = try state()
        let data = try TinyRun.made.get().folder.path("task/train.jsonl")
        for lie in Lie.allCases {
            var metadata = file.metadata
            if lie == .otherFormat { metadata.optimizer?.moments = "4bit" }
            if lie == .noFormat { metadata.optimizer?.moments = nil }
            let tensors = try TensorGroup.allCases.flatMap { group in
                try file.tensors(in: group).compactMap { tensor -> TensorToWrite? in
                    let copy = TensorToWrite(
                        group: group, description: tensor.description, content: .copy(file, tensor))
                    guard group == .optimizerV else { return copy }
                    var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
                    try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
                    guard let (description, own) = lie.tensor(tensor, bytes) else { return nil }
                    return TensorToWrite(
                        group: group, description: description,
                        content: .bytes { range, into in into.copyBytes(from: own[range]) })
                }
            }
            let run = folder.path("\(lie)")
            try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: false)
            let path = run + "/step-000002.h5"
            if lie == .otherFormat {
                // The writer checks what it writes as a reader does.
                let error = #expect(throws: (any Error).self) {
                    try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: false)
                }
                #expect("\(error.map { "\($0)" } ?? "")".contains(lie.error))
                continue
            }
            _ = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: false)
            let result = try Command.ckpt("train-sft", "--resume", run, "--data", data, "--steps", "4", in: folder)
            #expect(result.status == 2 && result.errors.hasPrefix("ckpt: error: "))
            #expect(result.errors.contains(lie.error), "\(lie): \(result.errors)")
        }
    }
}
