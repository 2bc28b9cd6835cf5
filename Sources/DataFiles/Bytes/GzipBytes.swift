import CZlib

/// The content of a gzip stream of one or more members.
final class GzipBytes: ByteSource {
    private let source: any ByteSource
    private let path: String
    private let stream: UnsafeMutablePointer<z_stream>
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private var consumed = 0
    private var limit = ExpansionLimit()
    /// Whether the last member is complete.
    private var isComplete = false
    private var atEnd = false

    /// - Throws: `DataFileError` if zlib has no memory.
    init(_ source: any ByteSource, path: String) throws {
        self.source = source
        self.path = path
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard ckpt_inflate_init(stream, 15 + 16) == Z_OK else { throw problem("out of memory") }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let output = buffer.bindMemory(to: UInt8.self)
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = UInt32(clamping: output.count)
        let capacity = Int(stream.pointee.avail_out)
        while Int(stream.pointee.avail_out) == capacity {
            if stream.pointee.avail_in == 0, !atEnd { try fill() }
            if stream.pointee.avail_in == 0 {
                guard isComplete else { throw problem("the gzip stream ends early; the file is cut off") }
                return 0
            }
            if isComplete {
                inflateReset(stream)
                isComplete = false
            }
            switch inflate(stream, Z_NO_FLUSH) {
            case Z_OK, Z_BUF_ERROR: break
            case Z_STREAM_END: isComplete = true
            default:
                throw problem("damaged gzip stream" + (stream.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""))
            }
        }
        let count = capacity - Int(stream.pointee.avail_out)
        do { try limit.add(count, from: consumed) } catch let error as FormatProblem { throw problem(error.reason) }
        return count
    }

    private func fill() throws {
        let count = try source.read(into: input)
        atEnd = count == 0
        consumed += count
        stream.pointee.next_in = input.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_in = UInt32(count)
    }

    private func problem(_ reason: String) -> DataFileError { DataFileError(path: path, reason: reason) }
}
