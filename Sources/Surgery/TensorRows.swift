import CheckpointIO

/// A stored tensor as rows of elements that are read where they are wanted: nothing of it stays in memory.
struct TensorRows: Sendable {
    let file: CheckpointFile
    let tensor: StoredTensor

    init(_ file: CheckpointFile, _ tensor: StoredTensor) {
        self.file = file
        self.tensor = tensor
    }

    var description: TensorDescription { tensor.description }
    /// Elements of all dimensions but the first.
    var columns: Int { description.shape.dropFirst().reduce(1, *) }
    /// Length of the first dimension.
    var rows: Int { description.shape.first ?? 1 }
    /// Bytes of one row.
    var rowByteCount: Int { columns * description.elementType.byteCount }

    /// How many rows to go through at a time: those of one stored chunk, so that no chunk is decoded twice.
    var rowsPerBlock: Int {
        if let shape = tensor.chunkShape, shape.dropFirst() == description.shape.dropFirst() { return max(shape[0], 1) }
        return max(1, (1 << 19) / max(columns, 1))
    }

    /// The row ranges of that size that make up `range`.
    func blocks(of range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: rowsPerBlock).map {
            $0..<min($0 + rowsPerBlock, range.upperBound)
        }
    }

    /// Reads logical bytes.
    func readBytes(_ range: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws {
        try file.read(tensor, range: range, into: target)
    }

    /// Reads rows `range` and gives their bytes to `body`.
    func withRowBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(range.count * rowByteCount, 1), alignment: 64)
        defer { bytes.deallocate() }
        let slice = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(range.count * rowByteCount)])
        try readBytes(range.lowerBound * rowByteCount..<range.upperBound * rowByteCount, into: slice)
        return try body(UnsafeRawBufferPointer(slice))
    }

    /// Converts rows `range` to float32, `[rows, columns]`.
    func readRows(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try withRowBytes(range) { try ElementConversion.toFloat32($0, description.elementType, into: values) }
    }

    /// Converts elements `range` to float32.
    func readElements(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        let size = description.elementType.byteCount
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(range.count * size, 1), alignment: 64)
        defer { bytes.deallocate() }
        let slice = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(range.count * size)])
        try readBytes(range.lowerBound * size..<range.upperBound * size, into: slice)
        try ElementConversion.toFloat32(UnsafeRawBufferPointer(slice), description.elementType, into: values)
    }

    /// One row as float32.
    func row(_ index: Int) throws -> [Float] {
        var values = [Float](repeating: 0, count: columns)
        try values.withUnsafeMutableBufferPointer { try readRows(index..<index + 1, into: $0) }
        return values
    }
}
