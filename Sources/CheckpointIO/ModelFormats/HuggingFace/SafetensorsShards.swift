import Foundation
import OrderedJSON

/// The shards listed in a `model.safetensors.index.json` as one source.
///
/// As transformers does, it takes every tensor of every listed shard, whatever the index says about it; `notes` tell
/// where they disagree. A tensor that two shards hold with different values is refused.
final class SafetensorsShards: TensorSource {
    let tensors: [TensorDescription]
    /// Where index and shards disagree, one line each.
    let notes: [String]
    /// The files that the index names.
    let fileNames: [String]
    private let path: String
    private let shards: [SafetensorsFile]
    private let shardOfTensor: [String: Int]

    /// Opens the shards, which are in the folder of the index.
    init(indexPath path: String) throws {
        func malformed(_ place: String, _ reason: String) -> ModelFormatError {
            .malformed(path: path, place: place, reason: reason)
        }
        let index = try TextFile.json(path, maximumByteCount: TextFile.maximumIndexByteCount)
        guard let map = index["weight_map"]?.object else {
            throw malformed("weight_map", "is missing or not an object")
        }
        guard !map.isEmpty else { throw malformed("weight_map", "lists no tensors") }

        var fileNames: [String] = []
        var known: Set<String> = []
        var listed: [String: String] = [:]
        for (name, value) in map {
            guard let fileName = value.string else {
                throw malformed("weight_map \(quoted(name))", "is \(value.kindName), not a file name")
            }
            guard !fileName.isEmpty, !fileName.contains("/"), !fileName.hasPrefix("."),
                fileName.unicodeScalars.allSatisfy(\.isPlain)
            else {
                throw malformed(
                    "weight_map \(quoted(name))", "\(quoted(fileName)) is not the name of a file in the index's folder")
            }
            guard listed.updateValue(fileName, forKey: name) == nil else {
                throw malformed("weight_map", "duplicate tensor name \(quoted(name))")
            }
            if known.insert(fileName).inserted {
                guard fileNames.count < Self.maximumShardCount else {
                    throw malformed("weight_map", "names more than \(Self.maximumShardCount) files")
                }
                fileNames.append(fileName)
            }
        }

        let folder = FilePath.folder(of: path)
        var shards: [SafetensorsFile] = []
        var tensors: [TensorDescription] = []
        var shardOfTensor: [String: Int] = [:]
        var elsewhere: [String] = []
        var repeated: Set<String> = []
        for (shard, fileName) in fileNames.enumerated() {
            let file = try SafetensorsFile(path: FilePath.join(folder, fileName))
            for tensor in file.tensors {
                if listed[tensor.name] != fileName { elsewhere.append(tensor.name) }
                guard let first = shardOfTensor[tensor.name] else {
                    shardOfTensor[tensor.name] = shard
                    tensors.append(tensor)
                    continue
                }
                guard shards[first].tensor(tensor.name) == tensor,
                    try file.holdsEqual(tensor, tensor.name, of: shards[first])
                else {
                    throw ModelFormatError.malformed(
                        path: file.path, place: "tensor \(quoted(tensor.name))",
                        reason: "differs from the tensor of this name in \(fileNames[first])")
                }
                repeated.insert(tensor.name)
            }
            shards.append(file)
        }
        self.path = path
        self.fileNames = fileNames
        self.shards = shards
        self.tensors = tensors
        self.shardOfTensor = shardOfTensor
        notes = Self.notes(
            elsewhere: elsewhere.filter { !repeated.contains($0) }, repeated: repeated.sorted(),
            absent: map.keys.filter { shardOfTensor[$0] == nil })
    }

    /// More files than any model has.
    static let maximumShardCount = 10_000

    private static func notes(elsewhere: [String], repeated: [String], absent: [String]) -> [String] {
        var notes: [String] = []
        if !elsewhere.isEmpty {
            notes.append("the index does not place these tensors in the shards that hold them: \(listed(elsewhere))")
        }
        if !repeated.isEmpty { notes.append("equal tensors in two shards are read once: \(listed(repeated))") }
        if !absent.isEmpty { notes.append("the index lists tensors that no shard holds: \(listed(absent))") }
        return notes
    }

    func quantization(of name: String) -> TensorQuantization? {
        shardOfTensor[name].flatMap { shards[$0].quantization(of: name) }
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let shard = shardOfTensor[name] else {
            throw ModelFormatError.missing(path: path, what: "tensor \(quoted(name))", remedy: "see weight_map")
        }
        try shards[shard].read(name, range: range, into: destination)
    }
}
