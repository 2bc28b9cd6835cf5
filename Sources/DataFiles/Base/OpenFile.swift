import CSystem
import Foundation
import Synchronization

/// An open file descriptor, closed with its last reference.
final class OpenFile: Sendable {
    let descriptor: Int32
    /// The file as given by the caller.
    let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Opens a file for reading.
    ///
    /// - Throws: `DataFileError`.
    convenience init(path: String) throws {
        let descriptor = open(try ReplayedInput.path(of: path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
        self.init(descriptor: descriptor, path: path)
    }

    /// A copy of a stream in a file without a name, which the system removes when it is closed.
    ///
    /// - Throws: `DataFileError`.
    init(copying source: any ByteSource, path: String) throws {
        self.path = path
        let folder = NSTemporaryDirectory()
        descriptor = ckpt_nameless_file(folder)
        guard descriptor >= 0 else { throw DataFileError.cannotWrite(folder) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { buffer.deallocate() }
        var total = 0
        while true {
            let count = try source.read(into: buffer)
            if count == 0 { return }
            total += count
            guard total <= Self.maximumCopy else {
                throw DataFileError(path: path, reason: "the stream is over 64 GiB; store it in a file")
            }
            var written = 0
            while written < count {
                let step = write(
                    descriptor, UnsafeRawBufferPointer(rebasing: buffer[written..<count]).baseAddress, count - written)
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { throw DataFileError.cannotWrite(folder) }
                written += step
            }
        }
    }

    private static let maximumCopy = 64 << 30

    /// The size in bytes; nil if this is not a regular file.
    var size: Int? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }

    /// Reads a range of a regular file.
    ///
    /// - Throws: `FormatProblem` if the file ends earlier, `DataFileError` if it cannot be read.
    func bytes(at offset: Int, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let step = bytes.withUnsafeMutableBytes {
                pread(
                    descriptor, UnsafeMutableRawBufferPointer(rebasing: $0[filled...]).baseAddress, count - filled,
                    offset + filled)
            }
            if step < 0, errno == EINTR { continue }
            guard step >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
            guard step > 0 else { throw FormatProblem("the file ends early; get it again") }
            filled += step
        }
        return bytes
    }
}

/// Standard input and pipes, kept so that each can be opened more than once.
package enum ReplayedInput {
    private static let copies = Mutex<[String: OpenFile]>([:])

    /// The path under which a data file can be opened any number of times; `-` is standard input.
    ///
    /// - Throws: `DataFileError`.
    package static func path(of path: String) throws -> String {
        var status = stat()
        let isPipe = path == "-" || (stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        guard isPipe else { return path }
        return try copies.withLock { copies in
            if let copy = copies[path] { return "/proc/self/fd/\(copy.descriptor)" }
            let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
            var file = OpenFile(descriptor: descriptor, path: path)
            if file.size == nil { file = try OpenFile(copying: FileBytes(file), path: path) }
            copies[path] = file
            return "/proc/self/fd/\(file.descriptor)"
        }
    }
}
