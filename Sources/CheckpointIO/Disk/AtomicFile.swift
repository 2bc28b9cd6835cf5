import CSystem
import Glibc
import Parallel

/// A file that gets its name only when it is complete and flushed to the disk.
///
/// It is written under a temporary name in the same folder, so that the last step is a rename within one file system.
/// The name is random and the file must not exist before, so that in a shared folder nobody can put a link to another
/// file in its place.
package struct AtomicFile {
    package let path: String
    let temporaryPath: String
    let overwrites: Bool

    /// Checks that a file may be created at `path`, without creating it.
    ///
    /// - Throws: `CheckpointError`, for example `.exists` if there is a file and `overwrite` is false.
    package init(_ path: String, overwrite: Bool) throws {
        try Self.refuseLink(at: path)
        self.path = path
        overwrites = overwrite
        var status = stat()
        if stat(path, &status) == 0 {
            // A device or a folder must never be replaced by a rename.
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw CheckpointError.invalid(name: path, problem: "exists and is not a regular file")
            }
            guard overwrite else { throw CheckpointError.exists(path: path) }
        }
        temporaryPath = TemporaryPaths.make(beside: path)
    }

    /// Refuses a symbolic link as output, whether or not what it points to exists.
    ///
    /// Writing through the link would change a file that the user did not name, and replacing the link would leave that
    /// file as it was.
    ///
    /// - Throws: `CheckpointError.invalid`.
    package static func refuseLink(at path: String) throws {
        guard isLink(path) else { return }
        throw CheckpointError.invalid(
            name: path, problem: "is a symbolic link; give the path that it points to, or remove the link")
    }

    /// Whether a path is that of a symbolic link, whether or not what it points to exists.
    package static func isLink(_ path: String) -> Bool {
        // With a slash at the end, lstat would examine what the link points to.
        var name = path
        while name.count > 1, name.hasSuffix("/") { name.removeLast() }
        var status = stat()
        return lstat(name, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// Writes a whole file.
    ///
    /// - Throws: `CheckpointError`; an existing file is then unchanged.
    package static func write(_ text: String, to path: String, overwrite: Bool) throws {
        try write([(path, text)], overwrite: overwrite)
    }

    /// Writes files that belong together; an error or a signal that ends the program leaves all of them or none.
    ///
    /// - Throws: `CheckpointError`.
    package static func write(_ contents: [(path: String, text: String)], overwrite: Bool) throws {
        var files: [AtomicFile] = []
        do {
            for (path, text) in contents {
                let file = try AtomicFile(path, overwrite: overwrite)
                files.append(file)
                try file.write(text)
            }
            try commit(files)
        } catch {
            for file in files { file.discard() }
            throw error
        }
    }

    /// Creates the temporary file with a content.
    private func write(_ text: String) throws {
        let descriptor = try create()
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write the file") }
            rest = rest.dropFirst(count)
        }
    }

    /// Creates the temporary file.
    ///
    /// - Returns: a descriptor that appends to the file and remains valid after `commit`.
    /// - Throws: `CheckpointError.system`.
    package func create() throws -> Int32 {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND | O_CLOEXEC
        let descriptor = TemporaryPaths.uninterrupted { open(temporaryPath, flags, 0o666) }
        guard descriptor >= 0 else { throw failure("create the file") }
        return descriptor
    }

    /// The size of the temporary file in bytes.
    func byteCount() throws -> Int {
        var status = stat()
        guard stat(temporaryPath, &status) == 0 else { throw failure("examine the finished file") }
        return Int(status.st_size)
    }

    /// Flushes the temporary file to the disk, renames it and flushes the folder.
    package func commit() throws { try Self.commit([self]) }

    private static func commit(_ files: [AtomicFile]) throws {
        for file in files { try synchronize(file.temporaryPath, flags: O_RDWR | O_NOFOLLOW, reportedAs: file.path) }
        // Freeing the blocks of a large file takes a while, so old files are closed in the background.
        let old = files.filter(\.overwrites).map { open($0.path, ckpt_o_path | O_CLOEXEC) }.filter { $0 >= 0 }
        let closeOld = { @Sendable in for descriptor in old { close(descriptor) } }
        defer {
            if !old.isEmpty, (try? WorkerThread.startDetached(closeOld)) == nil { closeOld() }
        }
        var renamings: [Renaming] = []
        let result = TemporaryPaths.uninterrupted {
            for file in files {
                guard let renaming = file.rename(keepsOld: files.count > 1) else {
                    let code = errno
                    for (file, renaming) in zip(files, renamings).reversed() { file.undo(renaming) }
                    errno = code
                    return -1
                }
                renamings.append(renaming)
            }
            return 0
        }
        guard result == 0 else {
            let file = files[renamings.count]
            throw errno == EEXIST ? CheckpointError.exists(path: file.path) : file.failure("rename the finished file")
        }
        for file in files { file.discard() }
        for folder in Set(files.map({ folder(of: $0.path) })) {
            try synchronize(folder, flags: O_RDONLY | O_DIRECTORY, reportedAs: files[0].path)
        }
    }

    /// What a rename did.
    private enum Renaming {
        /// There is a new file.
        case made
        /// The old file has the temporary name.
        case exchanged
        /// The old file is gone.
        case replaced
    }

    /// Gives the temporary file its name; nil if that failed, for the reason in `errno`.
    private func rename(keepsOld: Bool) -> Renaming? {
        guard overwrites else {
            // Another process may have created the file meanwhile; a link, unlike a rename, never replaces a file.
            if link(temporaryPath, path) == 0 { return .made }
            return errno != EEXIST && Glibc.rename(temporaryPath, path) == 0 ? .made : nil
        }
        if keepsOld {
            if renameat2(AT_FDCWD, temporaryPath, AT_FDCWD, path, ckpt_rename_exchange) == 0 { return .exchanged }
            if errno == ENOENT { return Glibc.rename(temporaryPath, path) == 0 ? .made : nil }
        }
        return Glibc.rename(temporaryPath, path) == 0 ? .replaced : nil
    }

    /// Takes back a rename, as far as the old file still exists.
    private func undo(_ renaming: Renaming) {
        switch renaming {
        case .made: unlink(path)
        case .exchanged: _ = renameat2(AT_FDCWD, temporaryPath, AT_FDCWD, path, ckpt_rename_exchange)
        case .replaced: break
        }
    }

    /// Removes the temporary file, if it still has its temporary name.
    package func discard() { TemporaryPaths.discard(temporaryPath) }

    private func failure(_ operation: String) -> CheckpointError {
        .system(path: path, operation: operation, code: errno)
    }

    /// Flushes a file or folder to the disk; `name` is the path in errors.
    static func synchronize(_ path: String, flags: Int32, reportedAs name: String) throws {
        let descriptor = open(path, flags | O_CLOEXEC)
        guard descriptor >= 0 else { throw CheckpointError.system(path: name, operation: "open it", code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw CheckpointError.system(path: name, operation: "flush it to the disk", code: errno)
        }
    }

    /// The folder that contains `path`.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
