import CSystem
import Foundation

/// A folder that appears under its name only when everything in it is complete and on the disk.
///
/// It is filled under a temporary name beside the final one. What was there before is replaced in one step of the
/// file system, and only if it is an export itself: a mistyped path must not cost somebody a home directory.
struct OutputFolder {
    let path: String
    let temporaryPath: String
    private let replaces: Bool

    /// - Throws: `ModelFormatError` where something is at `path` that may not be replaced.
    init(_ path: String, overwrite: Bool) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw ModelFormatError.exists(path: path, remedy: "it is no folder; choose another name")
            }
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw ModelFormatError.cannotRead(path: path, reason: "the folder cannot be listed")
            }
            replaces = !names.isEmpty
            if replaces, !overwrite {
                throw ModelFormatError.exists(path: path, remedy: "choose another name or replace it with --force")
            }
            if replaces, !names.contains("config.json") {
                throw ModelFormatError.exists(
                    path: path, remedy: "it holds no exported model, so it is not replaced; choose another name")
            }
        } else {
            replaces = false
        }
        let random = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        temporaryPath = Self.parent(of: path) + "/.ckpt-\(getpid())-\(random).partial"
        guard mkdir(temporaryPath, 0o777) == 0 else {
            throw ModelFormatError.cannotWrite(path: path, reason: systemError())
        }
    }

    /// Where a file of the folder is written.
    func file(_ name: String) -> String { temporaryPath + "/" + name }

    /// Writes a small file, flushed to the disk.
    func write(_ bytes: some Collection<UInt8>, as name: String) throws {
        let content = Array(bytes)
        let output = try OutputFile(file(name), byteCount: content.count, reportedAs: path + "/" + name)
        try content.withUnsafeBytes { try output.write($0, at: 0) }
        try output.finish()
    }

    /// Gives the folder its name.
    func commit() throws {
        try Self.synchronize(temporaryPath, reportedAs: path)
        if replaces {
            // One step: there is never a moment without a complete model under the name.
            guard renameat2(AT_FDCWD, temporaryPath, AT_FDCWD, path, ckpt_rename_exchange) == 0 else {
                throw ModelFormatError.cannotWrite(path: path, reason: systemError())
            }
            try? FileManager.default.removeItem(atPath: temporaryPath)
        } else {
            guard rename(temporaryPath, path) == 0 else {
                throw ModelFormatError.cannotWrite(path: path, reason: systemError())
            }
        }
        try Self.synchronize(Self.parent(of: path), reportedAs: path)
    }

    /// Removes what was written, after a failure.
    func discard() { try? FileManager.default.removeItem(atPath: temporaryPath) }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func synchronize(_ path: String, reportedAs name: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ModelFormatError.cannotWrite(path: name, reason: systemError()) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw ModelFormatError.cannotWrite(path: name, reason: systemError())
        }
    }
}
