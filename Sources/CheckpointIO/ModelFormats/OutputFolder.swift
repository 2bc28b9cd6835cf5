import CSystem
import Foundation

/// A folder that gets its name only when its content is complete and flushed to the disk.
///
/// It is filled under a temporary name in the same folder. An existing folder is replaced atomically, and only if it is
/// an exported model, so that a mistyped path does not delete a user's files.
struct OutputFolder {
    let path: String
    let temporaryPath: String
    private let replaces: Bool

    /// Creates the temporary folder.
    ///
    /// - Throws: `CheckpointError`, or `ModelFormatError` if `path` exists and may not be replaced.
    init(_ path: String, overwrite: Bool) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        try AtomicFile.refuseLink(at: path)
        self.path = path
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw ModelFormatError.exists(path: path, remedy: "it is not a folder; choose another name")
            }
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw ModelFormatError.cannotRead(path: path, reason: "the folder cannot be listed")
            }
            replaces = !names.isEmpty
            if replaces, !overwrite {
                throw ModelFormatError.exists(path: path, remedy: "choose another name or replace it with --force")
            }
            if replaces, !names.contains(where: { ["config.json", "adapter_config.json"].contains($0) }) {
                throw ModelFormatError.exists(
                    path: path, remedy: "it is not an exported model and is not replaced; choose another name")
            }
        } else {
            replaces = false
        }
        temporaryPath = TemporaryPaths.make(beside: path)
        guard TemporaryPaths.uninterrupted({ mkdir(temporaryPath, 0o777) }) == 0 else {
            throw failure("create the folder")
        }
    }

    /// The temporary path of a file in the folder.
    func file(_ name: String) -> String { temporaryPath + "/" + name }

    /// Writes a small file and flushes it to the disk.
    func write(_ bytes: some Collection<UInt8>, as name: String) throws {
        let content = Array(bytes)
        let output = try PlainFile(creating: file(name), reportedAs: path + "/" + name)
        try content.withUnsafeBytes { try output.write($0, at: 0) }
        try output.synchronize()
    }

    /// Gives the folder its name.
    func commit() throws {
        try AtomicFile.synchronize(temporaryPath, flags: O_RDONLY | O_DIRECTORY, reportedAs: path)
        if replaces {
            // An atomic exchange: the name always refers to a complete model.
            let result = TemporaryPaths.uninterrupted {
                renameat2(AT_FDCWD, temporaryPath, AT_FDCWD, path, ckpt_rename_exchange)
            }
            guard result == 0 else { throw failure("replace the folder") }
        } else {
            guard TemporaryPaths.uninterrupted({ rename(temporaryPath, path) }) == 0 else {
                throw failure("rename the finished folder")
            }
        }
        // After an exchange, the earlier model has the temporary name.
        discard()
        try AtomicFile.synchronize(AtomicFile.folder(of: path), flags: O_RDONLY | O_DIRECTORY, reportedAs: path)
    }

    /// Removes the temporary folder after a failure.
    func discard() { TemporaryPaths.discard(temporaryPath) }

    private func failure(_ operation: String) -> CheckpointError {
        .system(path: path, operation: operation, code: errno)
    }
}
