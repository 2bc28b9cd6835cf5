/// A model in GGUF: one file, or the shards that llama.cpp splits it into.
///
/// The first shard has the key-values of the model. Shards lie beside each other and are named
/// `NAME-00001-of-00003.gguf`.
struct GGUFShards {
    /// The files, in the order of their numbers.
    private(set) var files: [RandomAccessFile]
    /// The key-values of the model.
    let values: [String: GGUFValue]
    /// The tensors of all files.
    private(set) var tensors: [GGUFTensorInfo]

    /// Opens the model that begins with a file.
    ///
    /// - Parameters:
    ///   - file: the model, or its first shard.
    ///   - path: the path that the file was given by, which names the other shards.
    /// - Throws: `ModelFormatError`, also if shards are missing or do not belong together.
    init(_ file: RandomAccessFile, path: String) throws {
        let header = try GGUFHeader(file)
        files = [file]
        values = header.values
        tensors = header.tensors
        let count = try Self.integer("split.count", header, file) ?? 1
        guard count > 1 else { return }
        guard count <= SafetensorsShards.maximumShardCount else {
            throw ModelFormatError.malformed(path: path, place: "key \"split.count\"", reason: "\(count) is too large")
        }
        let number = try Self.integer("split.no", header, file) ?? 0
        guard let name = ShardName(FilePath.name(of: path)), name.count == count, name.number == number + 1 else {
            throw ModelFormatError.unsupported(
                path: path, what: "shard \(number + 1) of \(count) under a name that does not say so",
                remedy: "name the shards NAME-00001-of-\(ShardName.digits(count)).gguf and so on")
        }
        guard number == 0 else {
            throw ModelFormatError.unsupported(
                path: path, what: "shard \(number + 1) of \(count) alone",
                remedy: "give the first shard, \(name.fileName(1)), or the folder")
        }
        try append(count, name, folder: FilePath.folder(of: path))
        try checkTensors(header, path)
    }

    private mutating func append(_ count: Int, _ name: ShardName, folder: String) throws {
        for index in 1..<count {
            let file = try RandomAccessFile(path: FilePath.join(folder, name.fileName(index + 1)))
            let header = try GGUFHeader(file)
            guard try Self.integer("split.no", header, file) == index,
                try Self.integer("split.count", header, file) == count
            else {
                throw ModelFormatError.malformed(
                    path: file.path, place: "keys \"split.no\" and \"split.count\"",
                    reason: "do not make it shard \(index + 1) of \(count); is it of another model?")
            }
            files.append(file)
            tensors += header.tensors.map { tensor in
                var tensor = tensor
                tensor.shard = index
                return tensor
            }
        }
    }

    private func checkTensors(_ first: GGUFHeader, _ path: String) throws {
        var shards: [String: Int] = [:]
        for tensor in tensors {
            guard let other = shards.updateValue(tensor.shard, forKey: tensor.name) else { continue }
            throw ModelFormatError.malformed(
                path: files[tensor.shard].path, place: "tensor \(quoted(tensor.name))",
                reason: "is also in shard \(other + 1)")
        }
        if let expected = try Self.integer("split.tensors.count", first, files[0]), expected != tensors.count {
            throw ModelFormatError.malformed(
                path: path, place: "key \"split.tensors.count\"",
                reason: "\(expected) tensors are listed, the \(files.count) shards have \(tensors.count)")
        }
    }

    /// A key that must be a number which is not negative; nil if it is absent.
    private static func integer(_ key: String, _ header: GGUFHeader, _ file: RandomAccessFile) throws -> Int? {
        switch header.values[key] {
        case nil: return nil
        case .integer(let value) where value >= 0: return value
        default:
            throw ModelFormatError.malformed(
                path: file.path, place: "key \"\(key)\"", reason: "is not a number of shards or tensors")
        }
    }
}

/// The name of a shard: `NAME-00001-of-00003.gguf`.
struct ShardName: Equatable {
    /// What comes before the number.
    let stem: String
    /// The shard's number, from 1 on.
    let number: Int
    /// The number of shards.
    let count: Int

    /// Takes the name of a file apart; nil if it is not that of a shard.
    init?(_ fileName: String) {
        guard let match = fileName.wholeMatch(of: /(.+)-([0-9]{5})-of-([0-9]{5})\.gguf/),
            let number = Int(match.2), let count = Int(match.3), number >= 1, number <= count
        else { return nil }
        stem = String(match.1)
        self.number = number
        self.count = count
    }

    /// The name of another shard of the model.
    func fileName(_ number: Int) -> String { "\(stem)-\(Self.digits(number))-of-\(Self.digits(count)).gguf" }

    /// The first of the shards that `names` consists of; nil if these are not all shards of one model.
    static func first(of names: [String]) -> String? {
        let shards = names.compactMap { ShardName($0) }
        guard let first = shards.first, shards.count == names.count,
            shards.allSatisfy({ $0.stem == first.stem && $0.count == first.count })
        else { return nil }
        return first.fileName(1)
    }

    static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
}
