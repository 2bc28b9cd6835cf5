import Foundation

/// A regular file opened for reading at given offsets.
///
/// It is read by `pread` rather than mapped: if the file shrinks or a network file system fails, `pread` returns an
/// error, while a mapping raises a fatal signal.
final class RandomAccessFile: Sendable {
    let path: String
    let byteCount: Int
    let descriptor: Int32

    /// Opens a file; a link of the Hugging Face cache that a copy turned into text leads on to its blob.
    init(path: String) throws {
        let path = HubCache.blob(namedBy: path) ?? path
        // With O_NONBLOCK, a named pipe is refused below instead of blocking here.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let isBroken = errno == ENOENT && AtomicFile.isLink(path)
            throw ModelFormatError.cannotRead(
                path: path,
                reason: isBroken ? "it links to a file that does not exist; download the model again" : systemError())
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw ModelFormatError.cannotRead(path: path, reason: "not a regular file")
        }
        self.path = path
        self.descriptor = descriptor
        byteCount = Int(status.st_size)
        try refusePointer()
    }

    /// Refuses the small text file that Git keeps in place of a large one.
    private func refusePointer() throws {
        let start = Array("version https://git-lfs.github.com/spec/".utf8)
        guard (start.count..<1024).contains(byteCount),
            try bytes(at: 0, count: start.count, place: "start of the file") == start
        else { return }
        throw ModelFormatError.unsupported(
            path: path, what: "a Git LFS pointer, which stands for a file that was not downloaded,",
            remedy: "get the file with git lfs pull, or download it")
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
