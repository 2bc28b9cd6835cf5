import CZstd

/// A problem with a zstd frame, worded for the end of an error message.
struct ZstdProblem: Error {
    var description: String

    init(_ description: String) { self.description = description }

    /// The problem for a zstd return code.
    init(code: Int) { description = "zstd: " + String(cString: ZSTD_getErrorName(code)) }
}

/// How much effort is spent on finding repetition.
enum ZstdEffort: Sendable {
    /// No search for repetition, `EntropyFrame` only: the smallest and fastest choice for shuffled trained weights.
    case entropyOnly
    /// A compression level of libzstd.
    case level(Int32)

    /// The level for data that repeats.
    static let matching = ZstdEffort.level(1)

    /// The level recorded as the filter's parameter; decoders ignore it.
    var recordedLevel: Int32 {
        switch self {
        case .entropyOnly: -1000
        case .level(let level): level
        }
    }
}

/// A zstd compression context; not thread-safe.
final class ZstdCompressor {
    private let context: OpaquePointer

    init() throws {
        guard let context = ZSTD_createCCtx() else { throw ZstdProblem("zstd: out of memory") }
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// The size of the output buffer for `byteCount` bytes of input in `planeCount` planes.
    static func outputBound(_ byteCount: Int, planeCount: Int) -> Int {
        // Every flush may end a block early, which costs a block header.
        ZSTD_compressBound(byteCount) + 64 * (planeCount + 1)
    }

    /// Compresses `source` to exactly one frame with content size and checksum, and returns the size of the frame.
    ///
    /// A block ends after each of `planeCount` equal parts of the source.
    func compress(
        _ source: UnsafeRawBufferPointer, planeCount: Int, level: Int32,
        into destination: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        try check(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters))
        try set(ZSTD_c_compressionLevel, level)
        try set(ZSTD_c_contentSizeFlag, 1)
        try set(ZSTD_c_checksumFlag, 1)
        // Both buffers stay in place until the frame ends, so zstd can do without internal copies.
        try set(ckpt_zstd_stable_in_buffer, 1)
        try set(ckpt_zstd_stable_out_buffer, 1)
        try check(ZSTD_CCtx_setPledgedSrcSize(context, UInt64(source.count)))
        var output = ZSTD_outBuffer(dst: destination.baseAddress, size: destination.count, pos: 0)
        var input = ZSTD_inBuffer(src: source.baseAddress, size: 0, pos: 0)
        let planeSize = source.count / planeCount
        for plane in 1...planeCount {
            let isLast = plane == planeCount
            input.size = isLast ? source.count : plane * planeSize
            let operation = isLast ? ZSTD_e_end : ZSTD_e_flush
            var remaining = 1
            while remaining != 0 {
                remaining = try check(ZSTD_compressStream2(context, &output, &input, operation))
            }
        }
        return output.pos
    }

    private func set(_ parameter: ZSTD_cParameter, _ value: Int32) throws {
        try check(ZSTD_CCtx_setParameter(context, parameter, value))
    }
}

/// A zstd decompression context; not thread-safe.
package final class ZstdDecompressor {
    private let context: OpaquePointer

    package init() throws {
        guard let context = ZSTD_createDCtx() else { throw ZstdProblem("zstd: out of memory") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// The header size of a frame that has a checksum, this content size and no dictionary; nil for other frames.
    static func headerSize(ofFrameWithChecksum frame: UnsafeRawBufferPointer, contentSize: Int) -> Int? {
        var header = ZSTD_frameHeader()
        guard ZSTD_getFrameHeader(&header, frame.baseAddress, frame.count) == 0, header.frameType == ZSTD_frame,
            header.dictID == 0, header.checksumFlag != 0, header.frameContentSize == UInt64(contentSize)
        else { return nil }
        return Int(header.headerSize)
    }

    /// Decompresses exactly one frame that fills `destination` exactly, and returns whether it has a checksum.
    ///
    /// A wrong checksum throws.
    package func decompress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        var header = ZSTD_frameHeader()
        let missing = try check(ZSTD_getFrameHeader(&header, source.baseAddress, source.count))
        guard missing == 0, header.frameType == ZSTD_frame else { throw ZstdProblem("not a zstd frame") }
        guard header.dictID == 0 else { throw ZstdProblem("the zstd frame asks for a dictionary") }
        guard header.frameContentSize == UInt64(destination.count) else {
            let claim =
                header.frameContentSize == UInt64.max ? "no content size" : "\(header.frameContentSize) bytes"
            throw ZstdProblem("the zstd frame declares \(claim), but the chunk has \(destination.count) bytes")
        }
        let frameSize = try check(ZSTD_findFrameCompressedSize(source.baseAddress, source.count))
        guard frameSize == source.count else {
            throw ZstdProblem("the zstd frame has \(frameSize) bytes, but the stored chunk has \(source.count)")
        }
        let written = try check(
            ZSTD_decompressDCtx(
                context, destination.baseAddress, destination.count, source.baseAddress, source.count))
        guard written == destination.count else { throw ZstdProblem("the zstd frame ends early") }
        guard ZstdBlocks.areReservedBitsClear(source, headerSize: Int(header.headerSize)) else {
            throw ZstdProblem("a reserved bit of the zstd frame is set")
        }
        return header.checksumFlag != 0
    }
}

/// Returns `code`, or throws if it is an error.
@discardableResult
private func check(_ code: Int) throws -> Int {
    guard ZSTD_isError(code) == 0 else { throw ZstdProblem(code: code) }
    return code
}
