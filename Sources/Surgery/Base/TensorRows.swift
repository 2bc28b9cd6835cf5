import CheckpointIO

/// Row-wise access to a stored tensor, which is read on demand and not cached.
struct TensorRows: Sendable {
    let file: CheckpointFile
    let tensor: StoredTensor

    init(_ file: CheckpointFile, _ tensor: StoredTensor) {
        self.file = file
        self.tensor = tensor
    }

    var description: TensorDescription { tensor.description }
    /// The product of all dimensions but the first.
    var columns: Int { description.shape.dropFirst().reduce(1, *) }
    /// The length of the first dimension.
    var rows: Int { description.shape.first ?? 1 }
    /// Bytes of one row.
    var rowByteCount: Int { columns * description.elementType.byteCount }

    /// The number of rows to read at a time: those of one stored chunk, so that no chunk is decoded twice.
    var rowsPerBlock: Int {
        if let shape = tensor.chunkShape, shape.dropFirst() == description.shape.dropFirst() { return max(shape[0], 1) }
        return max(1, (1 << 19) / max(columns, 1))
    }

    /// Splits `range` into blocks of `rowsPerBlock` rows.
    func blocks(of range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: rowsPerBlock).map {
            $0..<min($0 + rowsPerBlock, range.upperBound)
        }
    }

    /// Reads a range of the tensor's logical bytes.
    func readBytes(_ range: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws {
        try file.read(tensor, range: range, into: target)
    }

    /// Reads elements `range` and passes their bytes to `body`.
    func withBytes<Result>(
        of range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        let size = description.elementType.byteCount
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(range.count * size, 1), alignment: 64)
        defer { bytes.deallocate() }
        let slice = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(range.count * size)])
        try readBytes(range.lowerBound * size..<range.upperBound * size, into: slice)
        return try body(UnsafeRawBufferPointer(slice))
    }

    /// Reads elements `range` as float32.
    func readElements(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try withBytes(of: range) { try ElementConversion.toFloat32($0, description.elementType, into: values) }
    }

    /// Reads rows `range` as float32, `[rows, columns]`.
    func readRows(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try readElements(range.lowerBound * columns..<range.upperBound * columns, into: values)
    }

    /// Reads one row as float32.
    func row(_ index: Int) throws -> [Float] {
        var values = [Float](repeating: 0, count: columns)
        try values.withUnsafeMutableBufferPointer { try readRows(index..<index + 1, into: $0) }
        return values
    }
}

extension TensorToWrite {
    /// A tensor whose elements `fill` computes as float32 and which are then rounded to its type.
    init(
        group: TensorGroup, description: TensorDescription,
        fill: @escaping @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) {
        let type = description.elementType
        self.init(
            group: group, description: description,
            content: .bytes { range, target in
                let elements = range.lowerBound / type.byteCount..<range.upperBound / type.byteCount
                let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(elements.count, 1))
                defer { values.deallocate() }
                let slice = UnsafeMutableBufferPointer(rebasing: values[..<elements.count])
                try fill(elements, slice)
                try ElementConversion.fromFloat32(UnsafeBufferPointer(slice), type, into: target)
            })
    }
}
