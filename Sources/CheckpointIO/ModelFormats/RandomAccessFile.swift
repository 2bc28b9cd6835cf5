import Foundation

/// A regular file opened for reading at given offsets.
///
/// It is read by `pread` rather than mapped: if the file shrinks or a network file system fails, `pread` returns an
/// error, while a mapping raises a fatal signal.
final class RandomAccessFile: Sendable {
    let path: String
    let byteCount: Int
    let descriptor: Int32

    init(path: String) throws {
        // With O_NONBLOCK, a named pipe is refused below instead of blocking here.
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

    /// Fills `destination` with the bytes that start at `offset`; `place` describes them in errors.
    func read(at offset: Int, into destination: UnsafeMutableRawBufferPointer, place: String) throws {
        guard offset >= 0, destination.count <= byteCount, offset <= byteCount - destination.count else {
            throw ModelFormatError.truncated(
                path: path, place: place, needed: destination.count, available: max(0, byteCount - max(0, offset)))
        }
        guard let start = destination.baseAddress else { return }
        var done = 0
        while done < destination.count {
            let count = pread(descriptor, start + done, destination.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ModelFormatError.cannotRead(path: path, reason: systemError()) }
            guard count > 0 else {
                throw ModelFormatError.truncated(
                    path: path, place: place, needed: destination.count, available: done)
            }
            done += count
        }
    }

    /// The bytes of a range; the caller bounds `count`.
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

/// The text of `errno`, starting in lower case.
func systemError() -> String {
    let text = String(cString: strerror(errno))
    return text.prefix(1).lowercased() + text.dropFirst()
}
