/// Snappy's block format.
enum Snappy {
    /// A copy of 64 bytes takes three.
    static let maximumRatio = 22

    /// Decompresses a block that must have `size` bytes.
    ///
    /// - Throws: `FormatProblem`.
    static func decompress(_ input: UnsafeRawBufferPointer, size: Int) throws -> [UInt8] {
        var reader = BlockReader(input)
        guard try reader.varint() == size else { throw FormatProblem("a snappy block states another size") }
        return try decompressing(to: size) { (output) throws in
            while !reader.isAtEnd {
                let tag = try reader.byte()
                switch tag & 3 {
                case 0:
                    var count = Int(tag >> 2)
                    if count >= 60 { count = try reader.integer(count - 59) }
                    try output.append(reader.bytes(count + 1))
                case 1:
                    let low = try reader.byte()
                    try output.copy(Int(tag >> 2 & 7) + 4, distance: Int(tag >> 5) << 8 | Int(low))
                case 2: try output.copy(Int(tag >> 2) + 1, distance: reader.integer(2))
                default: try output.copy(Int(tag >> 2) + 1, distance: reader.integer(4))
                }
            }
        }
    }
}

/// LZ4's block format.
enum LZ4 {
    /// A byte of length adds at most 255 bytes.
    static let maximumRatio = 256

    /// Decompresses a block that must have `size` bytes.
    ///
    /// - Throws: `FormatProblem`.
    static func decompress(_ input: UnsafeRawBufferPointer, size: Int) throws -> [UInt8] {
        var reader = BlockReader(input)
        return try decompressing(to: size) { (output) throws in
            while true {
                let token = try reader.byte()
                try output.append(reader.bytes(length(Int(token >> 4), &reader)))
                // The last sequence has no copy.
                if reader.isAtEnd { break }
                let distance = try reader.integer(2)
                try output.copy(length(Int(token & 15), &reader) + 4, distance: distance)
            }
        }
    }

    private static func length(_ start: Int, _ reader: inout BlockReader) throws -> Int {
        var length = start
        guard length == 15 else { return length }
        while true {
            let byte = try reader.byte()
            length += Int(byte)
            if byte < 255 { return length }
        }
    }
}

/// Calls `body` with an output of exactly `size` bytes, all of which it must write.
private func decompressing(to size: Int, _ body: (inout BlockWriter) throws -> Void) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        var output = BlockWriter(bytes: buffer, size: size)
        try body(&output)
        guard output.count == size else { throw FormatProblem("a compressed block is shorter than stated") }
        count = size
    }
}

/// Reads a compressed block.
private struct BlockReader {
    private let input: UnsafeRawBufferPointer
    private var position = 0

    init(_ input: UnsafeRawBufferPointer) { self.input = input }

    var isAtEnd: Bool { position == input.count }

    mutating func byte() throws -> UInt8 {
        guard position < input.count else { throw FormatProblem("a compressed block ends early") }
        defer { position += 1 }
        return input[position]
    }

    /// A little-endian number of one to four bytes.
    mutating func integer(_ count: Int) throws -> Int {
        var value = 0
        for index in 0..<count { value |= Int(try byte()) << (8 * index) }
        return value
    }

    mutating func varint() throws -> Int {
        var value = 0
        for shift in stride(from: 0, through: 28, by: 7) {
            let byte = try byte()
            value |= Int(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw FormatProblem("a compressed block states a malformed size")
    }

    mutating func bytes(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count <= input.count - position else { throw FormatProblem("a compressed block ends early") }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: input[position..<position + count])
    }
}

/// Writes a decompressed block of known size.
private struct BlockWriter {
    let bytes: UnsafeMutableBufferPointer<UInt8>
    let size: Int
    private(set) var count = 0

    init(bytes: UnsafeMutableBufferPointer<UInt8>, size: Int) {
        self.bytes = bytes
        self.size = size
    }

    mutating func append(_ source: UnsafeRawBufferPointer) throws {
        guard source.count <= size - count else { throw FormatProblem("a compressed block is longer than stated") }
        UnsafeMutableRawBufferPointer(bytes).baseAddress.map { target in
            if let start = source.baseAddress { (target + count).copyMemory(from: start, byteCount: source.count) }
        }
        count += source.count
    }

    /// Repeats bytes that were written; the ranges may overlap.
    mutating func copy(_ length: Int, distance: Int) throws {
        guard distance > 0, distance <= count else { throw FormatProblem("a compressed block refers before its start") }
        guard length <= size - count else { throw FormatProblem("a compressed block is longer than stated") }
        for index in count..<count + length { bytes[index] = bytes[index - distance] }
        count += length
    }
}
