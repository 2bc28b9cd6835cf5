import Foundation

/// A new file of known size that several threads write at given offsets.
final class OutputFile: Sendable {
    private let descriptor: Int32
    private let name: String

    init(_ path: String, byteCount: Int, reportedAs name: String) throws {
        self.name = name
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw ModelFormatError.cannotWrite(path: name, reason: systemError()) }
        // Allocates the space first if the file system can, so that a full disk is detected before any work.
        let code = byteCount == 0 ? 0 : posix_fallocate(descriptor, 0, off_t(byteCount))
        if code == ENOSPC || code == EDQUOT || code == EFBIG {
            errno = code
            throw ModelFormatError.cannotWrite(path: name, reason: systemError())
        }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        guard let start = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, start + done, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ModelFormatError.cannotWrite(path: name, reason: systemError()) }
            done += count
        }
    }

    /// Sets the length of the file; parts that were not written read as zeros.
    func setByteCount(_ count: Int) throws {
        guard ftruncate(descriptor, off_t(count)) == 0 else {
            throw ModelFormatError.cannotWrite(path: name, reason: systemError())
        }
    }

    /// Flushes the file to the disk.
    func finish() throws {
        guard fsync(descriptor) == 0 else { throw ModelFormatError.cannotWrite(path: name, reason: systemError()) }
    }
}
