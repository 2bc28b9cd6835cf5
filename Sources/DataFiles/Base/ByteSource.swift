import Glibc

/// Bytes that are read once, from the start to the end.
protocol ByteSource: AnyObject {
    /// Reads at least one byte, or returns 0 at the end.
    ///
    /// - Throws: `DataFileError`.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// The bytes of a file or a pipe.
final class FileBytes: ByteSource {
    private let file: OpenFile

    init(_ file: OpenFile) { self.file = file }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = Glibc.read(file.descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            guard errno == EINTR else { throw DataFileError(path: file.path, reason: DataFileError.reason(errno)) }
        }
    }
}

/// A source whose first bytes can be looked at before they are read.
final class PeekedBytes: ByteSource {
    private let source: any ByteSource
    /// The bytes that were looked at; all are there unless the source is shorter.
    private(set) var start: [UInt8] = []
    private var position = 0

    /// - Throws: the errors of the source.
    init(_ source: any ByteSource, count: Int) throws {
        self.source = source
        var buffer = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let step = try buffer.withUnsafeMutableBytes {
                try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
            }
            if step == 0 { break }
            filled += step
        }
        start = Array(buffer[..<filled])
    }

    /// Passes over bytes that were looked at.
    func skip(_ count: Int) { position = min(position + count, start.count) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard position < start.count else { return try source.read(into: buffer) }
        let count = min(buffer.count, start.count - position)
        buffer.copyBytes(from: start[position..<position + count])
        position += count
        return count
    }
}

/// Bytes in memory.
final class MemoryBytes: ByteSource {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - position)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}
