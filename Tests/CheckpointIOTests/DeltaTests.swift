import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Deltas: the state that is read from a delta and its base is the one it was made of, and nothing else is accepted.
@Suite struct DeltaTests {
    /// A state some steps after the sample: bits of some elements moved, history and lineage grown.
    static func state(after step: Int = 1) -> (metadata: CheckpointMetadata, tensors: [(TensorToWrite, bytes: [UInt8])])
    {
        var metadata = Samples.metadata()
        metadata.step += step
        metadata.trainingState = #"{"seed": 1, "step": \#(step)}"#
        for row in 1...step {
            metadata.history["sft"]?.append([("step", Double(2 + row)), ("loss", 2 / Double(row)), ("acc", 0.5)])
        }
        metadata.history["rl"] = MetricHistory()
        metadata.probes[0].steps.append(20)
        metadata.probes[0].pThink.append([0.5, 0.5])
        metadata.probes[0].pShort.append([0.25, 0.125])
        metadata.lineage.append("{}")
        let tensors = Samples.tensors().compactMap { tensor, bytes -> (TensorToWrite, bytes: [UInt8])? in
            let description = tensor.description
            var bytes = bytes
            switch description.name {
            case "model.zeros": return nil
            case "model.layers.0.cube": break
            case "model.scalar": bytes = [1, 2, 3, 4]
            case "model.layers.10.doubles":
                bytes.append(contentsOf: [UInt8](repeating: 3, count: 8))
                return (Samples.tensor(description.name, .float64, [50_001], bytes), bytes)
            default:
                // Every seventh element one step up or down, a few far away.
                let size = description.elementType.byteCount
                for (number, index) in stride(from: 0, to: bytes.count, by: 7 * size).enumerated() {
                    bytes[index] = number % 2 == 0 ? bytes[index] &+ UInt8(step) : bytes[index] &- UInt8(step)
                    if number % 100 == 0, size > 1 { bytes[index + size - 1] ^= 0x80 }
                    if description.elementType == .bool { bytes[index] &= 1 }
                }
            }
            return (
                Samples.tensor(description.name, description.elementType, description.shape, bytes, tensor.group), bytes
            )
        }
        let added = Samples.weights(.bfloat16, 640, seed: 77)
        return (metadata, tensors + [(Samples.tensor("model.extra", .bfloat16, [64, 10], added), added)])
    }

    private func bytes(_ file: CheckpointFile, _ tensor: StoredTensor, _ range: Range<Int>? = nil) throws -> [UInt8] {
        let range = range ?? 0..<tensor.description.byteCount
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try file.read(tensor, range: range, into: $0) }
        return bytes
    }

    @Test func standsForTheState() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            let (metadata, tensors) = Self.state()
            let whole = try CheckpointWriter.write(
                metadata, tensors: tensors.map(\.0), to: folder + "/whole.h5", overwrite: false)
            let path = folder + "/delta.h5"
            let written = try DeltaWriter.write(
                metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
            #expect(written.digest == whole.digest)
            #expect(written.wholeTensorCount == 2 && written.changedTensorCount == 9)

            let file = try CheckpointFile(path: path)
            #expect(file.digest == whole.digest && file.metadata == metadata)
            #expect(file.delta?.baseDigest == base.digest && file.chainLength == 1)
            #expect(file.delta?.tensors.map(\.changedElements).reduce(0, +) == written.changedElementCount)
            #expect(TensorGroup.allCases.reduce(0) { $0 + file.tensors(in: $1).count } == tensors.count)
            for (tensor, expected) in tensors {
                let stored = try #require(file.tensor(tensor.description.name, in: tensor.group))
                #expect(stored.description == tensor.description)
                #expect(try bytes(file, stored) == expected, "\(stored.path)")
                guard expected.count > 10 else { continue }
                // A range that begins and ends inside of an element.
                let range = expected.count / 3 | 1..<expected.count - expected.count / 5 | 1
                #expect(try bytes(file, stored, range) == Array(expected[range]), "\(stored.path)")
            }
            #expect(try file.verify().isEmpty)
        }
    }

    @Test func isWrittenAsAWholeCheckpoint() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            let (metadata, tensors) = Self.state()
            let whole = folder + "/whole.h5"
            _ = try CheckpointWriter.write(metadata, tensors: tensors.map(\.0), to: whole, overwrite: false)
            let path = folder + "/delta.h5"
            _ = try DeltaWriter.write(metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
            let file = try CheckpointFile(delta: path, on: base)
            let copies = TensorGroup.allCases.flatMap { file.tensors(in: $0) }.map {
                TensorToWrite(group: $0.group, description: $0.description, content: .copy(file, $0))
            }
            let result = folder + "/result.h5"
            _ = try CheckpointWriter.write(file.metadata, tensors: copies, to: result, overwrite: false)
            let (made, expected) = try (CheckpointFile(path: result), CheckpointFile(path: whole))
            #expect(made.digest == expected.digest && made.metadata == expected.metadata && made.delta == nil)
            #expect(try made.verify().isEmpty)
        }
    }

    @Test func deltasFollowOneAnother() throws {
        try withTemporaryPath { folder in
            var base = try CheckpointFile(path: Samples.write(to: folder))
            for step in 1...4 {
                let (metadata, tensors) = Self.state(after: step)
                let path = folder + "/\(step).h5"
                _ = try DeltaWriter.write(
                    metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
                base = try CheckpointFile(path: path)
                #expect(base.chainLength == step && base.metadata == metadata)
                for (tensor, expected) in tensors {
                    let stored = try #require(base.tensor(tensor.description.name, in: tensor.group))
                    #expect(try bytes(base, stored) == expected, "\(stored.path)")
                }
            }
            #expect(try base.verify().isEmpty)
        }
    }

    /// The optimizer of a base is not needed by a delta of a model, which therefore also fits the stripped base.
    @Test func needsOnlyWhatItTakes() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            var (metadata, tensors) = Self.state()
            (metadata.kind, metadata.optimizer, metadata.trainingState) = (.model, nil, nil)
            tensors.removeAll { $0.0.group != .weights }
            let path = folder + "/delta.h5"
            let written = try DeltaWriter.write(
                metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
            #expect(written.baseDigest == base.weightsDigest)
            let model = folder + "/model.h5"
            var stripped = Samples.metadata()
            (stripped.kind, stripped.optimizer, stripped.trainingState) = (.model, nil, nil)
            _ = try CheckpointWriter.write(
                stripped, tensors: Samples.tensors().map(\.0).filter { $0.group == .weights }, to: model,
                overwrite: false)
            let file = try CheckpointFile(delta: path, on: try CheckpointFile(path: model))
            #expect(file.digest == written.digest && file.metadata == metadata)
        }
    }

    @Test func refusesAnotherBase() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            let (metadata, tensors) = Self.state()
            let path = folder + "/delta.h5"
            _ = try DeltaWriter.write(metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
            let other = folder + "/other.h5"
            _ = try CheckpointWriter.write(metadata, tensors: tensors.map(\.0), to: other, overwrite: false)
            let error = #expect(throws: CheckpointError.self) {
                try CheckpointFile(delta: path, on: try CheckpointFile(path: other))
            }
            let description = try #require(error).description
            #expect(description.contains(base.path) && description.contains(base.digest.prefix(12)))
            #expect(description.contains("is another"), "\(description)")
            // A base with other metadata has the digest, but does not give the state's metadata.
            let renamed = folder + "/renamed.h5"
            var changed = Samples.metadata()
            changed.config = "{}"
            _ = try CheckpointWriter.write(
                changed, tensors: Samples.tensors().map(\.0), to: renamed, overwrite: false)
            #expect(
                "\(Self.problem { try CheckpointFile(delta: path, on: try CheckpointFile(path: renamed)) })"
                    .contains("the base's metadata is not what it was"))
            #expect("\(Self.problem { try CheckpointFile(delta: other, on: base) })".contains("is a whole checkpoint"))
        }
    }

    @Test func baseIsFoundBesideTheDelta() throws {
        try withTemporaryPath { folder in
            let (metadata, tensors) = Self.state()
            let (old, moved) = (folder + "/old", folder + "/moved")
            try FileManager.default.createDirectory(atPath: old, withIntermediateDirectories: false)
            let written = try DeltaWriter.write(
                metadata, tensors: tensors.map(\.0), since: try CheckpointFile(path: Samples.write(to: old)),
                to: old + "/delta.h5", overwrite: false)
            try FileManager.default.moveItem(atPath: old, toPath: moved)
            #expect(try CheckpointFile(path: moved + "/delta.h5").digest == written.digest)
            try FileManager.default.removeItem(atPath: moved + "/sample.h5")
            let problem = Self.problem { try CheckpointFile(path: moved + "/delta.h5") }
            #expect("\(problem)".contains("old/sample.h5 (digest") && "\(problem)".contains("which is not there"))
        }
    }

    @Test func sameStateGivesTheSameBytes() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            let (metadata, tensors) = Self.state()
            let files = try (0..<3).map { number in
                let path = folder + "/\(number).h5"
                _ = try DeltaWriter.write(metadata, tensors: tensors.map(\.0), since: base, to: path, overwrite: false)
                return try Data(contentsOf: URL(fileURLWithPath: path))
            }
            #expect(files[0] == files[1] && files[1] == files[2])
        }
    }

    /// The chunks of a state in a file are compared with those of the base in their stored form.
    @Test func stateInAFileGivesTheSameDifferences() throws {
        try withTemporaryPath { folder in
            let base = try CheckpointFile(path: Samples.write(to: folder))
            let (metadata, tensors) = Self.state()
            _ = try DeltaWriter.write(
                metadata, tensors: tensors.map(\.0), since: base, to: folder + "/memory.h5", overwrite: false)
            _ = try CheckpointWriter.write(
                metadata, tensors: tensors.map(\.0), to: folder + "/whole.h5", overwrite: false)
            let whole = try CheckpointFile(path: folder + "/whole.h5")
            let stored = try tensors.map { tensor, _ in
                let stored = try #require(whole.tensor(tensor.description.name, in: tensor.group))
                return TensorToWrite(
                    group: tensor.group, description: tensor.description, content: .copy(whole, stored))
            }
            _ = try DeltaWriter.write(
                metadata, tensors: stored, since: base, to: folder + "/stored.h5", overwrite: false)
            let files = try ["memory", "stored"].map { try CheckpointFile(path: "\(folder)/\($0).h5") }
            #expect(files[0].delta?.tensors.map(\.changedElements) == files[1].delta?.tensors.map(\.changedElements))
            for (tensor, expected) in tensors {
                let stored = try #require(files[1].tensor(tensor.description.name, in: tensor.group))
                #expect(try bytes(files[1], stored) == expected, "\(stored.path)")
            }
        }
    }

    /// Damage is found unless the state is the same with it, and behind the digests nothing goes beyond its bounds.
    @Test func damageIsFound() throws {
        try withTemporaryPath { folder in
            _ = try CheckpointWriter.write(
                Samples.metadata(), tensors: Samples.smallTensors(), to: folder + "/base.h5", overwrite: false)
            let changed = Samples.smallTensors().map { tensor in
                let count = tensor.description.byteCount
                return Samples.tensor(
                    tensor.description.name, tensor.description.elementType, tensor.description.shape,
                    Samples.bytes(count, seed: 3).map { $0 & 1 }, tensor.group)
            }
            let path = folder + "/delta.h5"
            _ = try DeltaWriter.write(
                Samples.metadata(), tensors: changed, since: try CheckpointFile(path: folder + "/base.h5"), to: path,
                overwrite: false)
            let intact = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            let damaged = folder + "/damaged.h5"
            var unseen = 0
            for position in stride(from: 0, to: intact.count, by: 61) {
                var bytes = intact
                bytes[position] ^= 1 << UInt8(position / 61 % 8)
                try Data(bytes).write(to: URL(fileURLWithPath: damaged))
                let damages = try? CheckpointFile(path: damaged).verify()
                if damages?.isEmpty == true { unseen += 1 }
                guard let file = try? CheckpointFile(path: damaged, checkingDigests: false) else { continue }
                for tensor in TensorGroup.allCases.flatMap({ file.tensors(in: $0) }) {
                    _ = try? self.bytes(file, tensor)
                }
            }
            // Decoders ignore some bits of the description of a code. The tensors have the right hashes nevertheless.
            #expect(unseen * 200 < intact.count / 61, "\(unseen) of \(intact.count / 61)")
        }
    }

    private static func problem(_ body: () throws -> CheckpointFile) -> any Error {
        do {
            return CheckpointError.invalid(name: try body().path, problem: "was opened")
        } catch {
            return error
        }
    }
}
