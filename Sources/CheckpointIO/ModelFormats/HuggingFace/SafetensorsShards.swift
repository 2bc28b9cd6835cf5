import Foundation
import OrderedJSON

/// The shards listed in a `model.safetensors.index.json` as one source.
///
/// Index and shards must agree: a tensor that its shard lacks is refused, and so is one that the index does not list.
final class SafetensorsShards: TensorSource {
    let tensors: [TensorDescription]
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
        var indexOfFile: [String: Int] = [:]
        var shardOfTensor: [String: Int] = [:]
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
            let shard = indexOfFile[fileName] ?? fileNames.count
            if shard == fileNames.count {
                indexOfFile[fileName] = shard
                fileNames.append(fileName)
            }
            guard shardOfTensor.updateValue(shard, forKey: name) == nil else {
                throw malformed("weight_map", "duplicate tensor name \(quoted(name))")
            }
        }

        let folder = (path as NSString).deletingLastPathComponent
        var shards: [SafetensorsFile] = []
        var tensors: [TensorDescription] = []
        for (shard, fileName) in fileNames.enumerated() {
            let file = try SafetensorsFile(path: (folder as NSString).appendingPathComponent(fileName))
            for tensor in file.tensors where shardOfTensor[tensor.name] != shard {
                throw ModelFormatError.malformed(
                    path: file.path, place: "tensor \(quoted(tensor.name))",
                    reason: "the index \((path as NSString).lastPathComponent) does not place it in this shard")
            }
            tensors += file.tensors
            shards.append(file)
        }
        if tensors.count != shardOfTensor.count {
            let present = Set(tensors.map(\.name))
            let absent = map.keys.filter { !present.contains($0) }
            throw malformed("weight_map", "the shards do not hold \(listed(absent))")
        }
        self.path = path
        self.shards = shards
        self.tensors = tensors
        self.shardOfTensor = shardOfTensor
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let shard = shardOfTensor[name] else {
            throw ModelFormatError.missing(path: path, what: "tensor \(quoted(name))", remedy: "see weight_map")
        }
        try shards[shard].read(name, range: range, into: destination)
    }
}
