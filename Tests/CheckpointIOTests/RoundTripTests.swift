import CheckpointIO
import Foundation
import TestSupport
import Testing

@Suite struct RoundTripTests {
    @Test func metadataAndTensorsRoundTrip() throws {
        try withTemporaryPath { folder in
            let file = try CheckpointFile(path: Samples.write(to: folder))
            #expect(file.metadata == Samples.metadata())
            for (tensor, bytes) in Samples.tensors() {
                let stored = try #require(file.tensor(tensor.description.name, in: tensor.group))
                #expect(stored.description == tensor.description)
                #expect(try read(file, stored) == bytes)
            }
            #expect(try file.verify().isEmpty)
        }
    }

    @Test func copiedTensorsKeepTheirStoredBytes() throws {
        try withTemporaryPath { folder in
            let file = try CheckpointFile(path: Samples.write(to: folder))
            var tensors = TensorGroup.allCases.flatMap { file.tensors(in: $0) }.map {
                TensorToWrite(group: $0.group, description: $0.description, content: .copy(file, $0))
            }
            let same = try CheckpointWriter.write(
                file.metadata, tensors: tensors, to: folder + "/copy.h5", overwrite: false)
            #expect(same.digest == file.digest)
            tensors[0].description.name = "renamed"
            let renamed = try CheckpointWriter.write(
                CheckpointMetadata(config: "{}"), tensors: [tensors[0]], to: folder + "/renamed.h5", overwrite: false)
            #expect(renamed.digest != file.digest)
            let copy = try CheckpointFile(path: folder + "/copy.h5")
            #expect(try copy.verify().isEmpty)
            #expect(copy.metadata == file.metadata)
            for tensor in file.tensors() {
                let copied = try #require(copy.tensor(tensor.description.name))
                #expect(copied.storedByteCount == tensor.storedByteCount)
                #expect(try read(copy, copied) == read(file, tensor))
            }
            let alone = try CheckpointFile(path: folder + "/renamed.h5")
            #expect(alone.tensors().map(\.sha256) == [file.tensors()[0].sha256])
        }
    }

    @Test func readFloat32FollowsTies() throws {
        try withTemporaryPath { folder in
            let file = try CheckpointFile(path: Samples.write(to: folder))
            var direct = [Float](repeating: 0, count: 3001 * 576)
            var tied = direct
            try direct.withUnsafeMutableBufferPointer { try file.readFloat32("model.embed_tokens.weight", into: $0) }
            try tied.withUnsafeMutableBufferPointer { try file.readFloat32("lm_head.weight", into: $0) }
            #expect(direct == tied)
            #expect(direct.contains { $0 != 0 })
            #expect(throws: CheckpointError.noTensor(path: file.path, name: "absent")) {
                try tied.withUnsafeMutableBufferPointer { try file.readFloat32("absent", into: $0) }
            }
        }
    }

    private func read(_ file: CheckpointFile, _ tensor: StoredTensor) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xff, count: tensor.description.byteCount)
        try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
        return bytes
    }
}
