import Foundation
import OrderedJSON
import Parallel
import Synchronization

/// A published version of weights.
public struct PublishedWeights: Sendable, Equatable {
    /// The folder of the version.
    public var path: String
    /// Tensors that changed.
    public var changedTensorCount = 0
    /// Bytes of the compressed changes.
    public var byteCount = 0
    /// Tensors of the model, and their bytes.
    public let tensorCount: Int
    public let modelByteCount: Int
}

/// Writes what changed in a model in the layout from which servers of slime pull weights.
///
/// A version is a folder `weight_vNNNNNN` with safetensors files. A tensor that changed is a U8 array: the zstd frame
/// of its new bytes XOR those of the version before. The metadata of a file has the Adler-32 of each tensor's new
/// bytes. The index names both versions and these formats.
public enum PulledWeights {
    /// Bytes of compressed tensors in one file, unless a single tensor has more; they are held in memory.
    private static let maximumFileBytes = 256 << 20

    /// Writes version `number`, which follows `number` − 1, as a new folder in `parent`.
    ///
    /// - Parameters:
    ///   - source: the model of the version, under the names and in the types of the folder that the servers have.
    ///   - base: the model of the version before.
    ///   - number: the version, 1 or more.
    ///   - parent: the folder of all versions.
    ///   - progress: called with the bytes of tensors done so far.
    /// - Returns: What was written.
    /// - Throws: `ModelFormatError` if the folder exists or the models do not have the same tensors, and errors of
    ///   reading and writing; no output exists then.
    public static func write(
        _ source: any TensorSource, since base: any TensorSource, version number: Int, in parent: String,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> PublishedWeights {
        let path = "\(parent)/weight_v\(zeroPadded(number, digits: 6))"
        let tensors = source.tensors.sorted { $0.name < $1.name }
        guard tensors == base.tensors.sorted(by: { $0.name < $1.name }) else {
            throw ModelFormatError.unsupported(
                path: path, what: "a version with tensors of other names, types or shapes than the one before",
                remedy: "publish the whole model with `ckpt export`")
        }
        var published = PublishedWeights(
            path: path, tensorCount: tensors.count, modelByteCount: tensors.reduce(0) { $0 + $1.byteCount })
        guard !FileManager.default.fileExists(atPath: path) else {
            throw ModelFormatError.exists(
                path: path, remedy: "a version that servers may have is not replaced; publish the next number")
        }
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        let output = try OutputFolder(path, overwrite: false)
        do {
            var map = JSONObject()
            var (changes, pending, files, done): ([Change], Int, Int, Int) = ([], 0, 0, 0)
            for start in stride(from: 0, to: tensors.count, by: ParallelWork.coreCount) {
                let group = Array(tensors[start..<min(start + ParallelWork.coreCount, tensors.count)])
                let found = Mutex([Change?](repeating: nil, count: group.count))
                try ParallelWork.forEach(group.count) { index in
                    let change = try Change(of: group[index], from: base, to: source)
                    found.withLock { $0[index] = change }
                }
                let new = found.withLock { $0.compactMap(\.self) }
                changes += new
                pending += new.reduce(0) { $0 + $1.frame.count }
                done += group.reduce(0) { $0 + $1.byteCount }
                progress?(done)
                guard pending >= maximumFileBytes || start + group.count == tensors.count else { continue }
                files += 1
                let name = "delta-\(zeroPadded(files, digits: 5)).safetensors"
                try write(changes, to: output, as: name)
                for change in changes { map[change.name] = .string(name) }
                published.changedTensorCount += changes.count
                published.byteCount += pending
                (changes, pending) = ([], 0)
            }
            let index = JSON.object(
                JSONObject([("metadata", metadata(of: number)), ("weight_map", .object(map))]))
            try output.write((index.serialized(indent: 2) + "\n").utf8, as: "model.safetensors.index.json")
            try output.commit()
            return published
        } catch {
            output.discard()
            throw error
        }
    }

    private static func metadata(of number: Int) -> JSON {
        [
            "version": .string(zeroPadded(number, digits: 6)),
            "base_version": .string(zeroPadded(number - 1, digits: 6)), "delta_encoding": "xor",
            "compression_format": "zstd", "checksum_format": "adler32",
        ]
    }

    /// Writes a file of compressed changes with their checksums.
    private static func write(_ changes: [Change], to output: OutputFolder, as name: String) throws {
        let frames = Dictionary(changes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let (header, placed, byteCount) = SafetensorsWriter.layout(
            changes.map { TensorDescription(name: $0.name, elementType: .uint8, shape: [$0.frame.count]) },
            metadata: JSONObject(changes.map { ($0.name, .string($0.checksum)) }))
        let file = try PlainFile(creating: output.file(name), reportedAs: "\(output.path)/\(name)")
        try file.allocate(byteCount: byteCount)
        try header.withUnsafeBytes { try file.write($0, at: 0) }
        for (description, offset) in placed {
            try frames[description.name]?.frame.withUnsafeBytes { try file.write($0, at: offset) }
        }
        try file.synchronize()
    }

    /// The change of a tensor.
    private struct Change: Sendable {
        let name: String
        /// The frame of the new bytes XOR the old ones.
        let frame: [UInt8]
        /// Of the new bytes, in hexadecimal.
        let checksum: String

        /// Compares a tensor of two models; nil if it is the same.
        init?(of tensor: TensorDescription, from base: any TensorSource, to source: any TensorSource) throws {
            let count = tensor.byteCount
            let old = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
            let new = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
            defer {
                old.deallocate()
                new.deallocate()
            }
            try base.read(tensor.name, range: 0..<count, into: old)
            try source.read(tensor.name, range: 0..<count, into: new)
            guard !old.elementsEqual(new) else { return nil }
            let digits = String(Adler32.checksum(of: UnsafeRawBufferPointer(new)), radix: 16)
            checksum = String(repeating: "0", count: 8 - digits.count) + digits
            name = tensor.name
            for index in 0..<count { new[index] ^= old[index] }
            let bound = ZstdCompressor.outputBound(count, planeCount: 1)
            do {
                let compressor = try ZstdCompressor()
                frame = try [UInt8](unsafeUninitializedCapacity: bound) { buffer, initialized in
                    initialized = try compressor.compress(
                        UnsafeRawBufferPointer(new), planeCount: 1, level: 1,
                        into: UnsafeMutableRawBufferPointer(buffer))
                }
            } catch let problem as ZstdProblem {
                throw CheckpointError.invalid(name: name, problem: problem.description)
            }
        }
    }
}
