import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing

/// Comparisons of tensors with several chunks, some of which are stored with equal bytes.
@Suite struct ChunkComparisonTests {
    let folder: TemporaryFolder
    private static let shape = [3072, 512]
    /// Elements of a chunk of about 1 MiB: 1024 rows of 512 two-byte elements.
    private static let chunk = 1024 * 512

    init() throws { folder = try TemporaryFolder() }

    private func write(_ values: [Float], _ type: ElementType, _ name: String, shape: [Int] = Self.shape) throws
        -> CheckpointFile
    {
        try write(TinyModel.tensor(.weights, "x.weight", shape, values, type), name)
    }

    private func write(_ tensor: TensorToWrite, _ name: String) throws -> CheckpointFile {
        let metadata = CheckpointMetadata(
            kind: .model, step: 0, createdBy: "test", config: "{}", generationConfig: nil, chatTemplate: nil,
            tokenizer: nil, tiedTensors: [:], optimizer: nil, trainingState: nil, history: [:], probes: [], lineage: [])
        _ = try CheckpointWriter.write(
            metadata, tensors: [tensor], to: folder.path(name), overwrite: true)
        return try CheckpointFile(path: folder.path(name))
    }

    @Test(arguments: [ElementType.bfloat16, .float16, .float32])
    func skipsChunksWithEqualBytes(type: ElementType) throws {
        let values = TinyModel.values("a", count: 3072 * 512)
        var changed = values
        changed[Self.chunk + 5] = -changed[Self.chunk + 5] + 0.25
        changed[Self.chunk + 70000] += 1
        let a = try write(values, type, "a.h5")
        let b = try write(changed, type, "b.h5")
        let tensor = try #require(a.tensor("x.weight"))
        let chunkElements = try #require(tensor.chunkShape).reduce(1, *)
        let report = try CheckpointComparison.compare(a, b)
        let statistics = try #require(report.tensors.first?.statistics)
        #expect(statistics.elementCount == values.count)
        #expect(statistics.identicalCount == values.count - 2)
        #expect(statistics.unreadCount == values.count - chunkElements)
        #expect(report.tensors.first?.largestIndex == [(Self.chunk + 70000) / 512, (Self.chunk + 70000) % 512])
        #expect(abs(statistics.largestDifference - 1) < 0.01)
        // Damage in chunks with equal bytes goes unnoticed, because they are not decoded.
        let range = try #require(tensor.chunkRange(0))
        for name in ["a.h5", "b.h5"] {
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path(name)))
            try file.seek(toOffset: UInt64(range.lowerBound + range.count / 2))
            try file.write(contentsOf: Data([0x55, 0x55, 0x55, 0x55]))
            try file.close()
        }
        let damagedA = try CheckpointFile(path: folder.path("a.h5"))
        let damagedB = try CheckpointFile(path: folder.path("b.h5"))
        #expect(throws: CheckpointError.self) { try damagedA.bytes("x.weight") }
        let again = try CheckpointComparison.compare(damagedA, damagedB)
        #expect(again.tensors.first?.statistics == statistics)
    }

    @Test(arguments: [ElementType.bfloat16, .float16, .float32])
    func agreesWithTheDefinition(type: ElementType) throws {
        let a = try write(TinyModel.values("a", count: 3072 * 512), type, "a.h5")
        let b = try write(TinyModel.values("b", count: 3072 * 512), type, "b.h5")
        let statistics = try #require(try CheckpointComparison.compare(a, b).tensors.first?.statistics)
        let (x, y) = (try a.values("x.weight"), try b.values("x.weight"))
        var (squaresX, squaresY, products, squares, flips, equal) = (0.0, 0.0, 0.0, 0.0, 0, 0)
        for index in x.indices {
            let (p, q) = (Double(x[index]), Double(y[index]))
            squaresX += p * p
            squaresY += q * q
            products += p * q
            squares += (q - p) * (q - p)
            if p * q < 0 { flips += 1 }
            if x[index].bitPattern == y[index].bitPattern { equal += 1 }
        }
        #expect(abs(statistics.normA / squaresX.squareRoot() - 1) < 1e-6)
        #expect(abs(statistics.normB / squaresY.squareRoot() - 1) < 1e-6)
        #expect(abs(statistics.differenceNorm / squares.squareRoot() - 1) < 1e-6)
        #expect(abs(statistics.cosine - products / (squaresX * squaresY).squareRoot()) < 1e-6)
        #expect(statistics.signFlipCount == flips)
        #expect(statistics.identicalCount == equal)
        #expect(statistics.unreadCount == 0)
    }

    @Test(arguments: [ElementType.bfloat16, .float32])
    func skipsChunksWithEqualBytesBeforeNewRows(type: ElementType) throws {
        // In B, a row of A's last chunk differs, that chunk is longer, and more chunks follow.
        let (rowsA, rowsB) = (2500, 3584)
        let values = TinyModel.values("a", count: rowsB * 512)
        var changed = values
        changed[2400 * 512 + 7] += 3
        let a = try write(Array(values[..<(rowsA * 512)]), type, "a.h5", shape: [rowsA, 512])
        let stored = try #require(a.tensor("x.weight"))
        let anew = try write(changed, type, "anew.h5", shape: [rowsB, 512])
        let tensor = try #require(anew.tensor("x.weight"))
        let rowBytes = 512 * type.byteCount
        let edit = TensorEdit(
            of: stored, in: a, changed: [2400 * rowBytes..<2401 * rowBytes],
            fill: { try anew.read(tensor, range: $0, into: $1) })
        let b = try write(TensorToWrite(description: tensor.description, content: .edited(edit)), "b.h5")
        let rowsPerChunk = try #require(stored.chunkShape)[0]
        #expect(b.tensor("x.weight")?.chunkShape == stored.chunkShape)
        for (one, other) in [(a, b), (b, a)] {
            let comparison = try #require(try CheckpointComparison.compare(one, other).tensors.first)
            #expect(comparison.status == .resized)
            let statistics = try #require(comparison.statistics)
            #expect(statistics.elementCount == rowsA * 512)
            #expect(statistics.identicalCount == rowsA * 512 - 1)
            #expect(statistics.unreadCount == 2400 / rowsPerChunk * rowsPerChunk * 512)
            #expect(statistics.unreadCount > 0)
            #expect(comparison.largestIndex == [2400, 7])
            #expect(abs(statistics.largestDifference - 3) < 0.02)
        }
        // With other chunk boundaries, the rows are compared one by one.
        let whole = try #require(try CheckpointComparison.compare(a, anew).tensors.first?.statistics)
        #expect(whole.identicalCount == rowsA * 512 - 1)
    }

    @Test func namesTheDamagedChunk() throws {
        let a = try write(TinyModel.values("a", count: 3072 * 512), .bfloat16, "a.h5")
        _ = try write(TinyModel.values("b", count: 3072 * 512), .bfloat16, "b.h5")
        let range = try #require(a.tensor("x.weight")?.chunkRange(1))
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path("a.h5")))
        try file.seek(toOffset: UInt64(range.lowerBound + range.count - 3))
        try file.write(contentsOf: Data([1, 2, 3]))
        try file.close()
        let damaged = try CheckpointFile(path: folder.path("a.h5"))
        do {
            _ = try CheckpointComparison.compare(damaged, try CheckpointFile(path: folder.path("b.h5")))
            Issue.record("the damage went unnoticed")
        } catch {
            #expect("\(error)".hasPrefix("\(folder.path("a.h5")): /weights/x/weight, chunk 1 at byte"))
        }
    }

    @Test func normsOfAVocabularyMatrixIncludeSkippedChunks() throws {
        // The search for a control token's neighbours reads the whole matrix, including skipped chunks.
        let a = try TinyModel(padding: 40000, specialTokens: ["<|end|>", "<think>", "</think>", "<short>"]).write(
            to: folder.path("plain.h5"))
        var options = AddTokensOptions()
        options.measuresDivergence = false
        _ = try AddTokens.run(a, options, to: folder.destination("a.h5"))
        let tokens = try CheckpointFile(path: folder.path("a.h5"))
        let name = "model.embed_tokens.weight"
        var values = try tokens.values(name)
        values[39000 * 16 + 3] += 2
        let shape = try #require(tokens.tensor(name)).description.shape
        let changed = try TinyModel.tensor(.weights, name, shape, values, .bfloat16)
        let rest = tokens.tensors().filter { $0.description.name != name }.map {
            TensorToWrite(group: .weights, description: $0.description, content: .copy(tokens, $0))
        }
        _ = try CheckpointWriter.write(
            tokens.metadata, tensors: rest + [changed], to: folder.path("b.h5"), overwrite: true)
        let b = try CheckpointFile(path: folder.path("b.h5"))
        let statistics = try #require(
            try CheckpointComparison.compare(tokens, b).tensors.first { $0.name == name }?.statistics)
        let norm = try tokens.values(name).reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(statistics.normA / norm - 1) < 1e-5)
        #expect(statistics.unreadCount == 0)
        #expect(abs(statistics.relativeChange * norm - 2) < 0.02)
    }
}
