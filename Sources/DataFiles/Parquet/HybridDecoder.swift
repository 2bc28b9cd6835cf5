/// Decodes runs of equal numbers and bit-packed groups of numbers (Parquet's RLE), one number at a time.
struct HybridDecoder {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int
    private let bitWidth: Int
    private var run: (count: Int, value: UInt32) = (0, 0)
    /// Numbers left in the packed groups, and the bit at which the next begins.
    private var packed = (count: 0, bit: 0)

    /// - Throws: `FormatProblem` if the range or the width is invalid.
    init(_ bytes: [UInt8], _ range: Range<Int>, bitWidth: Int) throws {
        guard (0...32).contains(bitWidth), range.upperBound <= bytes.count else { throw damaged }
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
        self.bitWidth = bitWidth
    }

    /// - Throws: `FormatProblem` at the end of the data.
    mutating func next() throws -> UInt32 {
        while true {
            if run.count > 0 {
                run.count -= 1
                return run.value
            }
            if packed.count > 0 { return try nextPacked() }
            try startRun()
        }
    }

    private mutating func startRun() throws {
        let header = try readVarint(bytes, &position, end)
        let count = Int(header >> 1)
        guard count > 0, count <= 1 << 31 else { throw damaged }
        if header & 1 == 0 {
            let size = (bitWidth + 7) / 8
            guard size <= end - position else { throw damaged }
            var value: UInt32 = 0
            for index in 0..<size { value |= UInt32(bytes[position + index]) << UInt32(8 * index) }
            guard bitWidth == 32 || value >> UInt32(bitWidth) == 0 else { throw damaged }
            position += size
            run = (count, value)
        } else {
            // The last group may be cut off where its numbers are not needed.
            packed = (count * 8, position * 8)
            position = min(end, position + count * bitWidth)
        }
    }

    private mutating func nextPacked() throws -> UInt32 {
        defer { packed = (packed.count - 1, packed.bit + bitWidth) }
        guard packed.bit + bitWidth <= end * 8 else { throw damaged }
        return UInt32(truncatingIfNeeded: readBits(bytes, at: packed.bit, count: bitWidth))
    }
}

/// The error for values that their encoding does not allow.
var damaged: FormatProblem { FormatProblem("a page is damaged") }

/// The bits from a position on, the least significant first; they must lie within `bytes`.
func readBits(_ bytes: [UInt8], at bit: Int, count: Int) -> UInt64 {
    var value: UInt64 = 0
    var (position, filled) = (bit, 0)
    while filled < count {
        let offset = position & 7
        let taken = min(8 - offset, count - filled)
        let part = UInt64(bytes[position >> 3] >> UInt8(offset)) & (1 << UInt64(taken) - 1)
        value |= part << UInt64(filled)
        (position, filled) = (position + taken, filled + taken)
    }
    return value
}

/// - Throws: `FormatProblem`.
func readVarint(_ bytes: [UInt8], _ position: inout Int, _ end: Int) throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), through: 63, by: 7) {
        guard position < end else { throw damaged }
        let byte = bytes[position]
        position += 1
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
    }
    throw damaged
}
