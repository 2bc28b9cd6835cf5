import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Writing the same state always gives the same bytes, with and without direct writes.
@Suite struct DirectOutputTests {
    /// Tensors of many sizes: small, slightly larger than a chunk, and of many chunks.
    private static let tensors: [TensorToWrite] = [1, 100, 20_000, 300_000, 600_000, 3_000_000].enumerated().map {
        index, count in
        var state = UInt64(index + 1)
        let values = (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt16(truncatingIfNeeded: 0x3C00 | state >> 40 & 0x3FF | state >> 30 & 0x8000)
        }
        return Samples.tensor("model.tensor\(index)", .bfloat16, [count], values.withUnsafeBytes { Array($0) })
    }

    @Test func equalStatesGiveEqualFiles() throws {
        try withTemporaryPath { folder in
            var files: Set<Data> = []
            for number in 0..<4 {
                let path = "\(folder)/\(number).h5"
                _ = try CheckpointWriter.write(
                    CheckpointMetadata(config: "{}"), tensors: Self.tensors, to: path, overwrite: false)
                #expect(try CheckpointFile(path: path).verify().isEmpty)
                files.insert(try Data(contentsOf: URL(fileURLWithPath: path)))
            }
            #expect(files.count == 1)
        }
    }

    /// /dev/shm is a tmpfs, which has no direct writes on older kernels.
    @Test(.enabled(if: FileManager.default.isWritableFile(atPath: "/dev/shm")))
    func fileInMemoryHasTheSameBytes() throws {
        let inMemory = "/dev/shm/ckpt-test-\(getpid()).h5"
        defer { unlink(inMemory) }
        try withTemporaryPath { folder in
            for path in [inMemory, folder + "/a.h5"] {
                _ = try CheckpointWriter.write(
                    CheckpointMetadata(config: "{}"), tensors: Self.tensors, to: path, overwrite: false)
            }
            #expect(FileManager.default.contentsEqual(atPath: inMemory, andPath: folder + "/a.h5"))
        }
    }

    @Test func memoryOfAnotherSizeIsRefused() throws {
        let values: [Float] = [1, 2, 3]
        let owner = NSObject()
        try values.withUnsafeBytes { bytes in
            let tensor = TensorToWrite(
                description: TensorDescription(name: "a", elementType: .float32, shape: [4]),
                content: .memory(TensorMemory(bytes, owner: owner)))
            try withTemporaryPath { folder in
                let error = #expect(throws: CheckpointError.self) {
                    try CheckpointWriter.write(
                        CheckpointMetadata(config: "{}"), tensors: [tensor], to: folder + "/a.h5", overwrite: false)
                }
                #expect(error?.description == "a: has 16 bytes, but its memory has 12")
            }
        }
    }
}
