import CheckpointIO
import Foundation
import TestSupport
import Testing

/// An edited tensor equals one written from scratch, and keeps the stored form of unchanged chunks.
@Suite struct EditedTensorTests {
    private static let name = "model.embed_tokens.weight"
    private static let width = 576 * 2

    /// Replaced rows of the sample, and the number of appended rows.
    @Test(arguments: [([0], 0), ([3000], 0), ([1234, 17], 0), ([], 5), ([2999], 700), ([], 0)])
    func equalsTensorWrittenFromScratch(replaced: [Int], added: Int) throws {
        try withTemporaryPath { folder in
            let source = try CheckpointFile(path: Samples.write(to: folder))
            let stored = try #require(source.tensor(Self.name))
            var bytes = [UInt8](repeating: 0, count: stored.description.byteCount)
            try bytes.withUnsafeMutableBytes { try source.read(stored, into: $0) }
            for row in replaced {
                bytes.replaceSubrange(
                    row * Self.width..<(row + 1) * Self.width, with: Samples.weights(.bfloat16, 576, seed: 99))
            }
            bytes += Samples.weights(.bfloat16, 576 * added, seed: 100)
            var description = stored.description
            description.shape[0] += added

            let complete = Samples.tensor(Self.name, .bfloat16, description.shape, bytes)
            let edited = try write(stored, source, description, replaced, bytes, to: folder + "/edited.h5")
            let fresh = try CheckpointWriter.write(
                CheckpointMetadata(config: "{}"), tensors: [complete], to: folder + "/fresh.h5", overwrite: false)
            #expect(edited.digest == fresh.digest)
            let file = try CheckpointFile(path: folder + "/edited.h5")
            #expect(try file.verify().isEmpty)
            let result = try #require(file.tensor(Self.name))
            var read = [UInt8](repeating: 0, count: bytes.count)
            try read.withUnsafeMutableBytes { try file.read(result, into: $0) }
            #expect(read == bytes)

            // The chunk shape is the same, and so are the stored bytes of unchanged chunks.
            #expect(result.chunkShape == stored.chunkShape)
            let rowsPerChunk = try #require(stored.chunkShape)[0]
            let before = try Data(contentsOf: URL(filePath: source.path))
            let after = try Data(contentsOf: URL(filePath: file.path))
            var kept = 0
            for chunk in 0..<3001 / rowsPerChunk where !replaced.contains(where: { $0 / rowsPerChunk == chunk }) {
                let old = before[try #require(stored.chunkRange(chunk))]
                #expect(after[try #require(result.chunkRange(chunk))] == old)
                kept += 1
            }
            #expect(kept > 0)
        }
    }

    /// A change that is not declared is not written, so that the tensor's sha256 does not match.
    @Test func verifyFindsUndeclaredChanges() throws {
        try withTemporaryPath { folder in
            let source = try CheckpointFile(path: Samples.write(to: folder))
            let stored = try #require(source.tensor(Self.name))
            let zeros = [UInt8](repeating: 0, count: stored.description.byteCount)
            _ = try write(stored, source, stored.description, [], zeros, to: folder + "/edited.h5")
            #expect(try !CheckpointFile(path: folder + "/edited.h5").verify().isEmpty)
        }
    }

    private func write(
        _ stored: StoredTensor, _ source: CheckpointFile, _ description: TensorDescription, _ replaced: [Int],
        _ bytes: [UInt8], to path: String
    ) throws -> WrittenCheckpoint {
        let edit = TensorEdit(
            of: stored, in: source, changed: replaced.map { $0 * Self.width..<($0 + 1) * Self.width },
            fill: { range, target in
                bytes.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
        return try CheckpointWriter.write(
            CheckpointMetadata(config: "{}"),
            tensors: [TensorToWrite(description: description, content: .edited(edit))], to: path, overwrite: false)
    }
}
