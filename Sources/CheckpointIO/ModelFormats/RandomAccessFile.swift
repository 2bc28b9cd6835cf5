import Foundation

/// A regular file opened for reading at given places.
///
/// `pread` instead of a memory map: a file that shrinks while it is read, or a network file system that drops out,
/// is an error to report here and a fatal signal there.
final class RandomAccessFile: Sendable {
    let path: String
    let byteCount: Int
    private let descriptor: Int32

    init(path: String) throws {
        // O_NONBLOCK, so that a named pipe is refused below instead of waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ModelFormatError.cannotRead(path: path, reason: systemError()) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw ModelFormatError.cannotRead(path: path, reason: "not a regular file")
        }
        self.path = path
        self.descriptor = descriptor
        byteCount = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `destination` from `offset` on; `place` names what is read in an error.
    func read(at offset: Int, into destination: UnsafeMutableRawBufferPointer, place: String) throws {
        guard offset >= 0, destination.count <= byteCount, offset <= byteCount - destination.count else {
            throw ModelFormatError.truncated(
                path: path, place: place, needed: destination.count, available: max(0, byteCount - max(0, offset)))
        }
        var done = 0
        while done < destination.count {
            let count = pread(
                descriptor, destination.baseAddress! + done, destination.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ModelFormatError.cannotRead(path: path, reason: systemError()) }
            guard count > 0 else {
                throw ModelFormatError.truncated(
                    path: path, place: place, needed: destination.count, available: done)
            }
            done += count
        }
    }

    /// The bytes of that range; the caller has bounded `count`.
    func bytes(at offset: Int, count: Int, place: String) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            try read(
                at: offset,
                into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]),
                place: place)
            initialized = count
        }
    }
}

/// The text of the last failed system call, in lower case as errors are written here.
func systemError() -> String {
    let text = String(cString: strerror(errno))
    return text.prefix(1).lowercased() + text.dropFirst()
}
