/// Decodes integers that are stored as bit-packed differences (DELTA_BINARY_PACKED), one at a time.
struct DeltaDecoder {
    private let bytes: [UInt8]
    private var position: Int
    /// The integers in total, and those that were returned.
    let count: Int
    private var returned = 0
    private let miniblocks: Int
    private let miniblockSize: Int
    private var value: Int64
    private var minimumDelta: Int64 = 0
    /// Where the widths of the current block stand, and the index of the current miniblock.
    private var widths = 0
    private var miniblock: Int
    /// The current miniblock: integers left, the width of each, and the bit at which the next begins.
    private var left = 0
    private var width = 0
    private var bit = 0

    /// - Throws: `FormatProblem`.
    init(_ bytes: [UInt8], from start: Int) throws {
        self.bytes = bytes
        position = start
        let size = try readVarint(bytes, &position, bytes.count)
        let parts = try readVarint(bytes, &position, bytes.count)
        let total = try readVarint(bytes, &position, bytes.count)
        guard size > 0, size <= 1 << 31, parts > 0, parts <= size / 8, size % parts == 0, size / parts % 8 == 0,
            total <= UInt64(ParquetColumnPages.maximumValues)
        else { throw damaged }
        (miniblocks, miniblockSize, count) = (Int(parts), Int(size / parts), Int(total))
        miniblock = miniblocks
        value = try Self.zigzag(bytes, &position)
    }

    /// - Throws: `FormatProblem` at the end of the data.
    mutating func next() throws -> Int64 {
        guard returned < count else { throw damaged }
        returned += 1
        guard returned > 1 else { return value }
        if left == 0 { try startMiniblock() }
        guard bit + width <= bytes.count * 8 else { throw damaged }
        let delta = Int64(bitPattern: readBits(bytes, at: bit, count: width))
        (left, bit) = (left - 1, bit + width)
        value = value &+ minimumDelta &+ delta
        return value
    }

    /// The position after all integers; reads those that are left.
    ///
    /// - Throws: `FormatProblem`.
    func end() throws -> Int {
        var copy = self
        while copy.returned < count { _ = try copy.next() }
        return copy.position
    }

    private mutating func startMiniblock() throws {
        miniblock += 1
        if miniblock >= miniblocks {
            minimumDelta = try Self.zigzag(bytes, &position)
            guard miniblocks <= bytes.count - position else { throw damaged }
            (widths, miniblock) = (position, 0)
            position += miniblocks
        }
        (left, width, bit) = (miniblockSize, Int(bytes[widths + miniblock]), position * 8)
        guard width <= 64 else { throw damaged }
        // A writer may cut off the last miniblock.
        position = min(bytes.count, position + miniblockSize / 8 * width)
    }

    private static func zigzag(_ bytes: [UInt8], _ position: inout Int) throws -> Int64 {
        let value = try readVarint(bytes, &position, bytes.count)
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
