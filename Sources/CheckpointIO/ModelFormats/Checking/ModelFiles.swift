import Foundation

/// The files that a path of a model stands for.
struct ModelFiles {
    let folder: String
    /// The names in the folder of the files with tensors.
    let weights: [String]
    /// The names of the files that were given, apart from others in the folder; nil for a whole folder.
    let given: [String]?

    /// Takes a folder, also of the Hugging Face cache, an index of safetensors, the first shard of a GGUF model, or a
    /// file.
    ///
    /// - Throws: `ModelFormatError`
    init(_ path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { throw ModelFormatError.cannotRead(path: path, reason: systemError()) }
        if status.st_mode & S_IFMT == S_IFDIR {
            func names(_ folder: String) -> [String] {
                (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            }
            folder = try HubCache.snapshot(of: path, names(path)) ?? path
            weights = names(folder).filter { TensorLayout.isWeightsFile($0) && !$0.hasPrefix(".") }.sorted()
            given = nil
            return
        }
        folder = FilePath.folder(of: path)
        let name = FilePath.name(of: path)
        guard !PickleFile.hasPickleName(name) else { throw ModelFormatError.pickle(path: path) }
        if name.hasSuffix(".safetensors.index.json") {
            weights = try SafetensorsShards(indexPath: path).fileNames.sorted()
            given = [name] + weights
        } else if let shard = ShardName(name), shard.number == 1 {
            weights = (1...shard.count).map(shard.fileName)
            given = weights
        } else {
            weights = ModelReader.isOtherFormat(path) ? [name] : []
            given = [name]
        }
    }
}

/// The files below a folder.
enum FolderFiles {
    /// More files than any folder of a model or run has.
    private static let maximumCount = 100_000

    /// The paths of all regular files below a folder, relative to it, sorted; hidden ones are left out.
    ///
    /// Links to files count as files, as in the Hugging Face cache; links to folders are not followed.
    ///
    /// - Throws: `ModelFormatError`
    static func all(in folder: String) throws -> [String] {
        var found: [String] = []
        var folders = [""]
        while let relative = folders.popLast() {
            let path = relative.isEmpty ? folder : FilePath.join(folder, relative)
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw ModelFormatError.cannotRead(path: path, reason: "the folder cannot be listed")
            }
            for name in names where !name.hasPrefix(".") {
                let child = relative.isEmpty ? name : relative + "/" + name
                let full = FilePath.join(folder, child)
                var status = stat()
                guard stat(full, &status) == 0 else {
                    throw ModelFormatError.cannotRead(
                        path: full, reason: "it links to a file that does not exist; download or copy it again")
                }
                if status.st_mode & S_IFMT == S_IFREG {
                    found.append(child)
                } else if status.st_mode & S_IFMT == S_IFDIR, !AtomicFile.isLink(full) {
                    folders.append(child)
                }
            }
            guard found.count + folders.count <= maximumCount else {
                throw ModelFormatError.unsupported(
                    path: folder, what: "a folder with more than \(maximumCount) files",
                    remedy: "give the folder of one model")
            }
        }
        return found.sorted()
    }
}
