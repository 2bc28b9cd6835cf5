import Glibc

/// A new file that threads write at given offsets through the page cache, and that is closed with the object.
final class PlainFile: Sendable {
    private let name: String
    private let descriptor: Int32

    /// Creates a file, which must not exist; `name` is the path in errors.
    ///
    /// - Throws: `CheckpointError.system`.
    init(creating path: String, reportedAs name: String) throws {
        self.name = name
        descriptor = TemporaryPaths.uninterrupted {
            open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else { throw failure("create the file", errno) }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at address: Int) throws {
        guard let start = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, start + done, bytes.count - done, off_t(address + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write the file", count < 0 ? errno : ENOSPC) }
            done += count
        }
    }

    /// Allocates disk space if the file system supports it, so that a full disk is detected before any work.
    func allocate(byteCount: Int) throws {
        let code = byteCount == 0 ? 0 : posix_fallocate(descriptor, 0, off_t(byteCount))
        if code == ENOSPC || code == EDQUOT || code == EFBIG { throw failure("write the file", code) }
    }

    /// Flushes the file to the disk.
    func synchronize() throws {
        guard fsync(descriptor) == 0 else { throw failure("flush the file to the disk", errno) }
    }

    func truncate(to byteCount: Int) throws {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else { throw failure("set the length of the file", errno) }
    }

    func failure(_ operation: String, _ code: Int32) -> CheckpointError {
        .system(path: name, operation: operation, code: code)
    }
}
