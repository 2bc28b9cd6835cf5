import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Reading ranges of a tensor gives the same bytes as reading all of it.
@Suite struct RangeReadingTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func write(_ shape: [Int]) throws -> (path: String, bytes: [UInt8]) {
        let count = shape.reduce(1, *)
        var state: UInt64 = 42
        let bytes = (0..<count * 2).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return UInt8(state >> 56)
        }
        let path = folder.path("ranges.h5")
        let metadata = CheckpointMetadata(
            kind: .model, step: 0, createdBy: "test", config: "{}", generationConfig: nil, chatTemplate: nil,
            tokenizer: nil, tiedTensors: [:], optimizer: nil, trainingState: nil, history: [:], probes: [], lineage: [])
        let tensor = TensorToWrite(
            group: .weights, description: TensorDescription(name: "w", elementType: .bfloat16, shape: shape),
            content: .bytes { range, target in bytes[range].withUnsafeBytes { target.copyMemory(from: $0) } })
        _ = try CheckpointWriter.write(metadata, tensors: [tensor], to: path, overwrite: true)
        return (path, bytes)
    }

    @Test(arguments: [[3], [7, 5], [3001, 640], [2_500_000], [2, 900, 700]])
    func agreesWithTheWhole(shape: [Int]) throws {
        let (path, bytes) = try write(shape)
        let file = try CheckpointFile(path: path)
        let tensor = try #require(file.tensor("w"))
        var cuts = [0, 1, bytes.count / 3, bytes.count / 2, bytes.count - 1, bytes.count]
        cuts += (1...3).map { $0 << 20 }.filter { $0 < bytes.count }
        for start in cuts {
            for end in cuts where end >= start {
                var part = [UInt8](repeating: 0, count: end - start)
                try part.withUnsafeMutableBytes { try file.read(tensor, range: start..<end, into: $0) }
                #expect(part == Array(bytes[start..<end]))
            }
        }
    }

    @Test func refusesRangesAndBuffersThatDoNotFit() throws {
        let (path, bytes) = try write([4, 4])
        let file = try CheckpointFile(path: path)
        let tensor = try #require(file.tensor("w"))
        var part = [UInt8](repeating: 0, count: 8)
        for range in [bytes.count - 4..<bytes.count + 4, 0..<4] {
            #expect(throws: CheckpointError.self) {
                try part.withUnsafeMutableBytes { try file.read(tensor, range: range, into: $0) }
            }
        }
    }
}
