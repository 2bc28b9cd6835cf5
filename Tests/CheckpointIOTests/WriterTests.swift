import CheckpointIO
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct WriterTests {
    private func error(
        _ tensors: [TensorToWrite], _ metadata: CheckpointMetadata = CheckpointMetadata(config: "{}")
    ) throws -> String {
        try withTemporaryPath { folder in
            let error = #expect(throws: CheckpointError.self) {
                try CheckpointWriter.write(metadata, tensors: tensors, to: folder + "/out.h5", overwrite: false)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            return try #require(error).description
        }
    }

    private func scalar(_ name: String) -> TensorToWrite { Samples.tensor(name, .int8, [], [1]) }

    @Test(arguments: ["", ".", "..", "a..b", ".a", "a.", "a/b", "a\0b"]) func badNamesAreRefused(name: String) throws {
        #expect(try error([scalar(name)]).contains("a tensor name must not"))
    }

    @Test func conflictingNamesAreRefused() throws {
        let prefix = try error([scalar("a.b.c"), scalar("a.b")])
        #expect(prefix == "tensor 'a.b': is a prefix of the tensor a.b.c; rename one of them")
        #expect(try error([scalar("a"), scalar("a")]) == "tensor 'a': occurs twice among the tensors of weights")
    }

    @Test func tiesAreChecked() throws {
        let missing = CheckpointMetadata(config: "{}", tiedTensors: ["head": "embed"])
        #expect(try error([scalar("a")], missing) == "head: is tied to embed, which is not stored")
        #expect(
            try error([scalar("head"), scalar("embed")], missing) == "head: is tied to embed and stored as well")
    }

    @Test func metadataThatCannotBeStoredIsRefused() throws {
        #expect(try error([], CheckpointMetadata(config: "a\0b")).contains("/config: a text in a checkpoint"))
        var history = MetricHistory()
        history.append([("a/b", 1)])
        #expect(try error([], CheckpointMetadata(config: "", history: ["sft": history])).contains("name of a metric"))
        let probe = ProbeTable(prompts: ["a"], levels: [], steps: [1])
        #expect(
            try error([], CheckpointMetadata(config: "", probes: [probe]))
                == "probe table 1: its columns differ in length")
    }

    @Test func impossibleShapesAreRefused() throws {
        let negative = Samples.tensor("a", .int8, [-1], [])
        #expect(try error([negative]).contains("is not a valid shape"))
        let huge = Samples.tensor("a", .int64, [Int.max / 2, 3], [])
        #expect(try error([huge]).contains("is not a valid shape"))
    }

    @Test func failingContentLeavesNothing() throws {
        struct Refusal: Error {}
        try withTemporaryPath { folder in
            let description = TensorDescription(name: "a", elementType: .float32, shape: [1_000_000])
            let tensors = [
                TensorToWrite(
                    description: description,
                    content: .bytes { range, _ in if range.lowerBound > 2_000_000 { throw Refusal() } })
            ]
            #expect(throws: Refusal.self) {
                try CheckpointWriter.write(
                    CheckpointMetadata(config: "{}"), tensors: tensors, to: folder + "/out.h5", overwrite: false)
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left.isEmpty)
        }
    }

    @Test func copiesWhileTheRestIsComputed() throws {
        try withTemporaryPath { folder in
            let source = try CheckpointFile(path: Samples.write(to: folder))
            let stored = TensorGroup.allCases.flatMap { source.tensors(in: $0) }
            let copies = stored.map {
                TensorToWrite(group: $0.group, description: $0.description, content: .copy(source, $0))
            }
            let new = Samples.tensor("new", .bfloat16, [300, 40], Samples.weights(.bfloat16, 12000, seed: 5))
            let path = folder + "/copied.h5"
            let done = Mutex(0)
            let written = try CheckpointWriter.write(
                copying: copies, to: path, overwrite: false,
                progress: { bytes in done.withLock { $0 = max($0, bytes) } },
                while: { (source.metadata, [new]) })
            let whole = try CheckpointWriter.write(
                source.metadata, tensors: copies + [new], to: folder + "/whole.h5", overwrite: false)
            #expect(written.digest == whole.digest)
            #expect(written.logicalByteCount == whole.logicalByteCount)
            #expect(done.withLock { $0 } == written.logicalByteCount)
            #expect(try CheckpointFile(path: path).verify().isEmpty)

            // An error in the rest is thrown, and leaves no file.
            let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            for rest in [[Samples.tensor("a", .int8, [-1], [])], [copies[0]]] {
                #expect(throws: CheckpointError.self) {
                    try CheckpointWriter.write(
                        copying: copies, to: folder + "/bad.h5", overwrite: false, while: { (source.metadata, rest) })
                }
            }
            #expect(throws: CocoaError.self) {
                try CheckpointWriter.write(
                    copying: copies, to: folder + "/bad.h5", overwrite: false,
                    while: { throw CocoaError(.fileNoSuchFile) })
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
        }
    }

    @Test func existingFilesAreReplacedOnlyOnRequest() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(throws: CheckpointError.exists(path: path)) {
                try CheckpointWriter.write(
                    CheckpointMetadata(config: "{}"), tensors: [], to: path, overwrite: false)
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
            _ = try CheckpointWriter.write(CheckpointMetadata(config: "{}"), tensors: [], to: path, overwrite: true)
            let file = try CheckpointFile(path: path)
            #expect(file.tensors().isEmpty)
            #expect(file.metadata == CheckpointMetadata(config: "{}"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["sample.h5"])
        }
    }

    @Test func foldersAndDevicesAreNeverReplaced() throws {
        try withTemporaryPath { folder in
            let metadata = CheckpointMetadata(config: "{}")
            for path in [folder, "/dev/null"] {
                #expect(throws: CheckpointError.self) {
                    try CheckpointWriter.write(metadata, tensors: [], to: path, overwrite: true)
                }
            }
            let missing = #expect(throws: CheckpointError.self) {
                try CheckpointWriter.write(metadata, tensors: [], to: folder + "/no/out.h5", overwrite: true)
            }
            #expect(
                missing?.description
                    == "\(folder)/no/out.h5: cannot create the file: no such file or directory; check the path")
        }
    }

    @Test func modeFollowsTheUmask() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder, tensors: Samples.smallTensors())
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let mask = umask(0)
            umask(mask)
            #expect(attributes[.posixPermissions] as? Int == 0o666 & ~Int(mask))
        }
    }

    @Test func digestIdentifiesTheTensors() throws {
        try withTemporaryPath { folder in
            func digest(_ tensors: [TensorToWrite], _ metadata: CheckpointMetadata, _ name: String) throws -> String {
                try CheckpointWriter.write(metadata, tensors: tensors, to: "\(folder)/\(name)", overwrite: false).digest
            }
            let tensors = Samples.smallTensors()
            let metadata = Samples.metadata()
            let first = try digest(tensors, metadata, "a")
            var later = metadata
            later.step = 11
            #expect(try digest(tensors.reversed(), later, "b") == first)
            var renamed = tensors
            renamed[2].description.name = "model.norm2.weight"
            #expect(try digest(renamed, metadata, "c") != first)
            #expect(
                try CheckpointFile(path: folder + "/a").weightsDigest
                    == CheckpointFile(path: folder + "/b").weightsDigest)
        }
    }

    @Test func gaussianBFloat16IsTwoThirds() throws {
        try withTemporaryPath { folder in
            var generator = SystemRandomNumberGenerator()
            let count = 2 << 20
            var values = [Float](repeating: 0, count: count)
            for index in stride(from: 0, to: count, by: 2) {
                let radius =
                    0.02 * (-2 * log(Float.random(in: Float.leastNormalMagnitude..<1, using: &generator))).squareRoot()
                let angle = 2 * Float.pi * Float.random(in: 0..<1, using: &generator)
                (values[index], values[index + 1]) = (radius * cos(angle), radius * sin(angle))
            }
            var bytes = [UInt8](repeating: 0, count: 2 * count)
            try values.withUnsafeBufferPointer { values in
                try bytes.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, .bfloat16, into: $0) }
            }
            let path = try Samples.write(
                to: folder,
                tensors: [Samples.tensor("w", .bfloat16, [2048, 1024], bytes)]
                    + Samples.tensors().prefix(1).map(\.0))
            let tensor = try #require(try CheckpointFile(path: path).tensor("w"))
            #expect(Double(tensor.storedByteCount) <= 0.672 * Double(2 * count))
        }
    }

    /// The second rename fails because the first made the file.
    @Test func filesThatBelongTogetherAreAllWrittenOrNone() throws {
        let folder = try TemporaryFolder()
        let (first, second) = (folder.path("a"), folder.path("b"))
        #expect(throws: CheckpointError.self) {
            try AtomicFile.write([(first, "1"), (second, "2"), (second, "3")], overwrite: false)
        }
        #expect(try folder.names().isEmpty)
        try AtomicFile.write([(first, "1"), (second, "2")], overwrite: false)
        try AtomicFile.write([(first, "3"), (second, "4")], overwrite: true)
        #expect(try folder.names() == ["a", "b"])
        #expect(try String(contentsOfFile: first, encoding: .utf8) == "3")
    }
}
