import Glibc
import Synchronization

/// The temporary files and folders of this process, and those that ended processes left.
///
/// A signal that ends the program removes the former; the next write to a folder removes the latter.
package enum TemporaryPaths {
    private struct State {
        var live: Set<String> = []
        /// Folders that this process created for its output.
        var folders: [String] = []
        /// Folders that were searched for what ended processes left.
        var searched: Set<String> = []
    }

    private static let state = Mutex(State())

    /// Registers a new name in the folder of `path`, after removing what ended processes left there.
    static func make(beside path: String) -> String {
        removeAbandoned(beside: path)
        let temporary = AtomicFile.folder(of: path) + "/" + TemporaryName.make()
        _ = state.withLock { $0.live.insert(temporary) }
        return temporary
    }

    /// Makes system calls that create or rename files, between which no signal ends the program.
    ///
    /// Returns their result and keeps `errno`.
    static func uninterrupted(_ calls: () -> Int32) -> Int32 {
        let (result, code) = state.withLock { _ in (calls(), errno) }
        errno = code
        return result
    }

    /// Creates a folder for output, unless it exists; a signal or an error that ends the program removes it if it is
    /// empty.
    package static func createFolder(_ path: String) {
        state.withLock { state in
            if mkdir(path, 0o777) == 0 { state.folders.append(path) }
        }
    }

    /// Removes a temporary file or folder, if it still exists under this name.
    static func discard(_ path: String) {
        remove(path)
        _ = state.withLock { $0.live.remove(path) }
    }

    /// Removes all temporary files and folders of this process, and then ends it; meanwhile no other thread makes any.
    package static func removeAll(thenEnd end: () -> Never) -> Never {
        state.withLock { state -> Never in
            remove(state)
            end()
        }
    }

    /// Removes all temporary files and folders of this process, unless another thread is making one.
    package static func removeAllIfPossible() { _ = state.withLockIfAvailable { remove($0) } }

    private static func remove(_ state: State) {
        for path in state.live { remove(path) }
        // Fails for a folder that has content.
        for folder in state.folders { rmdir(folder) }
    }

    /// Removes the temporary files and folders that ended processes left in the folder of `path`; once in each folder.
    package static func removeAbandoned(beside path: String) {
        let folder = AtomicFile.folder(of: path)
        guard state.withLock({ $0.searched.insert(folder).inserted }) else { return }
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        for name in names(in: descriptor, prefix: TemporaryName.prefix) {
            let text = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            var status = stat()
            guard TemporaryName(text)?.isAbandoned == true,
                fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0
            else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG, S_IFLNK: unlinkat(descriptor, name, 0)
            // In a shared folder another user may have put it there.
            case S_IFDIR where status.st_uid == geteuid(): remove(name, in: descriptor)
            default: break
            }
        }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Removes a file, a link or a folder with all it contains; follows no link.
    private static func remove(_ name: UnsafePointer<CChar>, in folder: Int32 = AT_FDCWD) {
        guard unlinkat(folder, name, 0) != 0, errno == EISDIR else { return }
        let inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard inner >= 0 else { return }
        for entry in names(in: inner, prefix: "") { remove(entry, in: inner) }
        close(inner)
        unlinkat(folder, name, AT_REMOVEDIR)
    }

    /// The names in an open folder that begin with `prefix`, each with its NUL; none if it cannot be listed.
    private static func names(in descriptor: Int32, prefix: String) -> [[CChar]] {
        // The stream owns its descriptor.
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return [] }
        guard let stream = fdopendir(copy) else {
            close(copy)
            return []
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let start = UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
            let text = start.assumingMemoryBound(to: CChar.self)
            guard strncmp(text, prefix, prefix.utf8.count) == 0, strcmp(text, ".") != 0, strcmp(text, "..") != 0 else {
                continue
            }
            names.append(Array(UnsafeBufferPointer(start: text, count: strlen(text) + 1)))
        }
        return names
    }
}
