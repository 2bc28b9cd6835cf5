import Foundation

/// Folders of the Hugging Face cache: `models--org--name` with `blobs`, `refs` and `snapshots`.
enum HubCache {
    /// The snapshot to read for the folder of a model; nil if the folder is none of the cache.
    ///
    /// It is the one that `refs/main` names, or else the only one.
    static func snapshot(of path: String, _ names: [String]) throws -> String? {
        guard names.contains("snapshots"), !names.contains("config.json") else { return nil }
        let folder = FilePath.join(path, "snapshots")
        let snapshots = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        let main = FilePath.join(FilePath.join(path, "refs"), "main")
        let named = try TextFile.text(main, maximumByteCount: 1024)?.trimmingCharacters(in: .whitespacesAndNewlines)
        if let named, snapshots.contains(named) { return FilePath.join(folder, named) }
        if snapshots.count == 1 { return FilePath.join(folder, snapshots[0]) }
        throw ModelFormatError.missing(
            path: path, what: "snapshot that refs/main names",
            remedy: snapshots.isEmpty
                ? "download the model again"
                : "give one of " + snapshots.prefix(3).map { FilePath.join(folder, $0) }.joined(separator: ", "))
    }

    /// The folder of a model's name, `organization/name`, in the cache of this user; nil for other texts.
    static func folder(of model: String) -> String? {
        let parts = model.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") }) else { return nil }
        let variables = ProcessInfo.processInfo.environment
        let home = variables["HF_HOME"] ?? variables["HOME"].map { FilePath.join($0, ".cache/huggingface") }
        guard let cache = variables["HF_HUB_CACHE"] ?? home.map({ FilePath.join($0, "hub") }) else { return nil }
        return FilePath.join(cache, "models--\(parts[0])--\(parts[1])")
    }

    /// The blob that a small file names, where a copy turned the links of a snapshot into texts; nil for other files.
    static func blob(namedBy path: String) -> String? {
        let start = "../../blobs/"
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            (start.utf8.count + 1..<256).contains(Int(status.st_size)),
            let text = FileManager.default.contents(atPath: path).map({
                String(decoding: $0.prefix(256), as: UTF8.self)
            }),
            text.hasPrefix(start)
        else { return nil }
        let name = text.dropFirst(start.count)
        guard !name.contains("/"), !name.hasPrefix("."), name.unicodeScalars.allSatisfy(\.isPlain) else { return nil }
        return FilePath.join(FilePath.folder(of: path), text)
    }
}
