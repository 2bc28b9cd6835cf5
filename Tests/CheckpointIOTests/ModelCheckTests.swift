import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Checks of files of other formats, and manifests.
@Suite struct ModelCheckTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Copies a fixture and returns its path.
    private func copy(_ name: String) throws -> String {
        let path = folder.path(name)
        try FileManager.default.copyItem(atPath: ModelFixtures.path(name), toPath: path)
        return path
    }

    private func edit(_ path: String, _ change: (inout Data) -> Void) throws {
        var bytes = try Data(contentsOf: URL(filePath: path))
        change(&bytes)
        try bytes.write(to: URL(filePath: path))
    }

    @Test(arguments: [
        "llama-tied-bf16", "qwen2-sharded-f32", "qwen2-sharded-f32/model.safetensors.index.json",
        "qwen3-f16/model.safetensors", "llama-quantised.gguf",
    ])
    func soundFilesHaveNoDamage(name: String) throws {
        let file = try ModelReader.open(ModelFixtures.path(name))
        for depth in [ModelCheck.Depth.structure, .values, .manifest(folder.path("manifest.txt"))] {
            let check = try ModelCheck(ModelFixtures.path(name), depth)
            #expect(check.damages.isEmpty, "\(check.damages)")
            #expect(check.tensorCount == file.tensors().count && check.byteCount == file.fileByteCount)
            if case .manifest = depth { #expect(check.manifest?.tensorCount == check.tensorCount) }
        }
    }

    @Test func cutFilesAreDamaged() throws {
        for name in ["qwen2-f16.gguf", "qwen3-f16"] {
            let path = try copy(name)
            let file = name == "qwen3-f16" ? path + "/model.safetensors" : path
            try edit(file) { $0.removeLast(10) }
            let check = try ModelCheck(path, .structure)
            #expect(check.damages.count == 1 && check.damages[0].problem.contains("ends too early"), "\(name)")
        }
    }

    @Test func aMissingTensorIsDamage() throws {
        let path = try copy("llama-tied-bf16")
        var text = try SafetensorsText(URL(filePath: path + "/model.safetensors"))
        text.rename { $0 == "model.norm.weight" ? "model.nom.weight" : $0 }
        try text.write(to: URL(filePath: path + "/model.safetensors"))
        let damages = try ModelCheck(path, .structure).damages
        #expect(
            damages.map(\.description) == ["the model: a tensor of its architecture is missing: \"model.norm.weight\""])
    }

    /// A file of tensors with the given elements, as words of their type.
    private func write<Word: FixedWidthInteger>(
        _ tensors: [(name: String, type: String, words: [Word])]
    ) throws -> String {
        var header: [String] = []
        var data = Data()
        for (name, type, words) in tensors {
            let start = data.count
            for word in words { withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) } }
            header.append(
                #""\#(name)":{"dtype":"\#(type)","shape":[\#(words.count)],"data_offsets":[\#(start),\#(data.count)]}"#)
        }
        let text = Data("{\(header.joined(separator: ","))}".utf8)
        let path = folder.path("values.safetensors")
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        try (length + text + data).write(to: URL(filePath: path))
        return path
    }

    private func values<Word: FixedWidthInteger>(_ type: String, one: Word, infinity: Word, as: Word.Type) throws {
        // Far from the start, so that whole runs without such values come before.
        var words = (0..<40_000).map { one &+ Word(truncatingIfNeeded: $0 & 7) }
        words[20_000] = infinity
        words[20_001] = infinity | (1 << (Word.bitWidth - 1))
        words[39_999] = infinity + 1
        words[39_998] = Word.max
        words[3] = infinity + 1
        let check = try ModelCheck(try write([("a", type, words), ("b", type, Array(words[4..<100]))]), .values)
        #expect(check.damages.map(\.problem) == ["has 3 NaN and 2 infinite values"], "\(type)")
        #expect(check.damages.first?.tensor == "a")
    }

    @Test func valuesThatAreNotFinite() throws {
        try values("BF16", one: 0x3F80, infinity: 0x7F80, as: UInt16.self)
        try values("F16", one: 0x3C00, infinity: 0x7C00, as: UInt16.self)
        try values("F32", one: 0x3F80_0000, infinity: 0x7F80_0000, as: UInt32.self)
        try values("F64", one: 0x3FF0 << 48, infinity: 0x7FF0 << 48, as: UInt64.self)
        let integers = try write([("a", "I32", [UInt32](repeating: 0x7F80_0000, count: 9))])
        #expect(try ModelCheck(integers, .values).damages.isEmpty)
    }

    /// The scale of a quantised block is not finite.
    @Test func quantisedValuesThatAreNotFinite() throws {
        let path = folder.path("model.gguf")
        let model = try SampleModel("llama", #""tie_word_embeddings": true"#)
        try GGUFExport.write(model.metadata, model, to: path, overwrite: true, precision: .q80)
        #expect(try ModelCheck(path, .values).damages.isEmpty)
        // The block of the first 32 values: their scale in two bytes, then a byte each.
        let name = "model.layers.1.mlp.up_proj.weight"
        let file = try ModelReader.open(path)
        var values = [Float](repeating: 0, count: try #require(file.tensor(name)).description.elementCount)
        try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, into: $0) }
        let scale = try #require(values[..<32].map(abs).max()) / 127
        let bytes = Data(values[..<32].map { UInt8(bitPattern: Int8(($0 / scale).rounded())) })
        let place = try #require(try Data(contentsOf: URL(filePath: path)).range(of: bytes)).lowerBound
        try edit(path) { $0.replaceSubrange(place - 2..<place, with: [0x00, 0x7E]) }
        let damages = try ModelCheck(path, .values).damages
        #expect(damages.map(\.problem) == ["has 32 NaN values"])
        #expect(damages.map(\.tensor) == ["blk.1.ffn_up.weight"])
    }

    /// Of a checkpoint, in chunks and contiguous tensors, of each group; and of a delta on it.
    @Test func valuesOfACheckpointThatAreNotFinite() throws {
        func bytes(_ values: [Float]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }
        var large = (0..<200_000).map { Float($0) }
        let plain = bytes(large)
        large[150_000] = .nan
        large[3] = -.infinity
        let zeros = bytes([Float](repeating: 0, count: 100))
        let few = bytes([1, 2, .infinity])
        let tensors = [
            Samples.tensor("a.weight", .float32, [2000, 100], bytes(large)),
            Samples.tensor("b.weight", .float32, [2000, 100], plain),
            Samples.tensor("c.weight", .float32, [2000, 100], plain),
            Samples.tensor("zero", .float32, [100], zeros), Samples.tensor("few", .float32, [3], few, .optimizerM),
            Samples.tensor("zero", .float32, [100], zeros, .optimizerV),
        ]
        let metadata = CheckpointMetadata(
            config: "{}", optimizer: OptimizerRecord(step: 1, beta1: 0.9, beta2: 0.95, epsilon: 1e-8))
        let (base, state) = (folder.path("base.h5"), folder.path("state.h5"))
        _ = try CheckpointWriter.write(
            metadata, tensors: [Samples.tensor("a.weight", .float32, [2000, 100], plain)] + tensors[1...], to: base,
            overwrite: false)
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: state, overwrite: false)
        _ = try DeltaWriter.write(
            metadata, tensors: tensors, since: try CheckpointFile(path: base), to: folder.path("delta.h5"),
            overwrite: false)
        for name in ["state.h5", "delta.h5"] {
            let file = try CheckpointFile(path: folder.path(name))
            #expect(try file.verify().isEmpty)
            let check = try ModelCheck(file)
            #expect(
                check.damages.map { "\($0.place): \($0.problem)" } == [
                    "/weights/a/weight: has 1 NaN and 1 infinite value",
                    "/optimizer/m/few: has 1 infinite value",
                ], "\(name)")
            #expect(
                check.remarks.map(\.line) == ["all zero: \"zero\"", "equal tensors: \"b.weight\", \"c.weight\""])
        }
        #expect(try ModelCheck(CheckpointFile(path: base)).damages.count == 1)
    }

    @Test func tensorsWithoutInformation() throws {
        let row: [UInt16] = (0..<3000).map { 0x3F80 + UInt16($0 % 100) }
        var almost = [UInt16](repeating: 0x3F80, count: 3000)
        almost[2999] = 0x3F81
        let path = try write([
            ("zero", "BF16", [UInt16](repeating: 0, count: 3000)),
            ("one", "BF16", [UInt16](repeating: 0x3F80, count: 3000)), ("almost", "BF16", almost), ("x", "BF16", row),
            ("y", "BF16", row), ("single", "BF16", [0x3F80]), ("empty", "BF16", []),
        ])
        let check = try ModelCheck(path, .values)
        #expect(check.damages.isEmpty)
        #expect(
            check.remarks.filter { $0.kind != .note }.map(\.line)
                == ["all zero: \"zero\"", "one value throughout: \"one\"", "equal tensors: \"x\", \"y\""])
    }

    // MARK: Manifests

    private func manifest(of path: String) throws -> ModelCheck {
        let check = try ModelCheck(path, .manifest(folder.path("manifest.txt")))
        try check.writeManifest(to: folder.path("manifest.txt"), overwrite: true)
        return check
    }

    private func damages(_ path: String) throws -> [String] {
        var check = try ModelCheck(path, .manifest(folder.path("manifest.txt")))
        try check.compare(with: folder.path("manifest.txt"), path)
        return check.damages.map(\.description)
    }

    @Test func aManifestFindsWhatChanged() throws {
        let path = try copy("qwen2-sharded-f32")
        try FileManager.default.createDirectory(atPath: path + "/more", withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(filePath: path + "/more/odd \\ name\n.txt"))
        let check = try manifest(of: path)
        #expect(check.manifest?.files.count == 12 && check.manifest?.tensorCount == check.tensorCount)
        #expect(try damages(path).isEmpty)
        // The copy is compared with the manifest of the original.
        let other = folder.path("copy")
        try FileManager.default.copyItem(atPath: path, toPath: other)
        #expect(try damages(other).isEmpty)
        let shard = other + "/model-00002-of-00004.safetensors"
        try edit(shard) { $0[$0.count - 1] ^= 1 }
        #expect(try damages(other).first?.hasPrefix("model-00002-of-00004.safetensors, ") == true)
        #expect(try damages(other).count == 1)
        try FileManager.default.removeItem(atPath: other + "/config.json")
        try Data("y".utf8).write(to: URL(filePath: other + "/more/odd \\ name\n.txt"))
        let found = try damages(other)
        #expect(found.contains("config.json: is in the manifest, but not there"))
        #expect(found.contains { $0.contains("odd") && $0.hasSuffix("does not have the SHA-256 of the manifest") })
        #expect(found.count == 3)
    }

    @Test func stockToolsReadAManifestAndWriteOne() throws {
        let path = try copy("llama-tied-bf16")
        _ = try manifest(of: path)
        func run(_ text: String) throws -> CommandResult {
            try Command.run("sh", ["-c", "cd llama-tied-bf16 && " + text], in: folder)
        }
        let own = try run("sha256sum -c --strict --quiet ../manifest.txt")
        #expect(own.status == 0, "\(own.errors)")
        #expect(try run("sha256sum ./* > ../manifest.txt").status == 0)
        #expect(try damages(path).isEmpty)
        try edit(path + "/model.safetensors") { $0[$0.count - 1] ^= 1 }
        #expect(try damages(path) == ["model.safetensors: does not have the SHA-256 of the manifest"])
    }

    @Test func brokenManifestsAreRefused() throws {
        let path = try copy("qwen2-f16.gguf")
        let digest = String(repeating: "0", count: 64)
        for text in ["", "hello", "\(digest) ", "\(digest.dropLast())g  x", "# tensor \(digest) x\ty\n"] {
            try folder.write(text, to: "manifest.txt")
            #expect(throws: ModelFormatError.self, "\(text)") { try damages(path) }
        }
        try folder.write("\(digest)  other.gguf\n", to: "manifest.txt")
        #expect(throws: ModelFormatError.self) { try damages(path) }
    }
}
