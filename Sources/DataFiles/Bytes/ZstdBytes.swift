import CZstd

/// The content of a zstd stream of one or more frames.
final class ZstdBytes: ByteSource {
    private let source: any ByteSource
    private let path: String
    private let context: OpaquePointer
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    private var consumed = 0
    private var limit = ExpansionLimit()
    /// Whether the last frame is complete.
    private var isComplete = false
    private var atEnd = false

    /// - Throws: `DataFileError` if zstd has no memory.
    init(_ source: any ByteSource, path: String) throws {
        self.source = source
        self.path = path
        guard let context = ZSTD_createDCtx() else { throw DataFileError(path: path, reason: "zstd: out of memory") }
        self.context = context
    }

    deinit {
        ZSTD_freeDCtx(context)
        buffer.deallocate()
    }

    func read(into target: UnsafeMutableRawBufferPointer) throws -> Int {
        var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
        while output.pos == 0 {
            if input.pos == input.size, !atEnd { try fill() }
            if atEnd, isComplete { return 0 }
            let before = (input.pos, output.pos)
            let code = ZSTD_decompressStream(context, &output, &input)
            guard ZSTD_isError(code) == 0 else {
                throw problem("damaged zstd stream (\(String(cString: ZSTD_getErrorName(code)).lowercased()))")
            }
            isComplete = code == 0
            if atEnd, !isComplete, before == (input.pos, output.pos) {
                throw problem("the zstd stream ends early; the file is cut off")
            }
        }
        do {
            try limit.add(output.pos, from: consumed)
        } catch let error as FormatProblem { throw problem(error.reason) }
        return output.pos
    }

    private func fill() throws {
        let count = try source.read(into: buffer)
        atEnd = count == 0
        consumed += count
        input = ZSTD_inBuffer(src: buffer.baseAddress, size: count, pos: 0)
    }

    private func problem(_ reason: String) -> DataFileError { DataFileError(path: path, reason: reason) }
}
