import Parallel

/// The types and offsets of all tensors in a GGUF file to be written.
struct GGUFExportPlan {
    struct Tensor: Sendable {
        var source: TensorDescription
        var info: GGUFTensorInfo
        /// The permutation of the rows; nil if their order does not change.
        var rowOrder: HeadRowOrder?
    }

    private(set) var tensors: [Tensor] = []
    /// Divisors of rotary frequencies, which are written as tensors.
    private var divisors: [(values: [Float], offset: Int)] = []
    private let dataByteCount: Int
    /// The header's list of tensors.
    private(set) var infos: [GGUFTensorInfo] = []

    init(_ sources: [TensorDescription], _ model: GGUFModelKeys, _ precision: GGUFExport.Precision) throws {
        var offset = 0
        for source in sources.sorted(by: ModelOrder.areInOrder) {
            guard let name = GGUFTensorNames.ggufName(source.name) else {
                throw ModelFormatError.unsupported(
                    path: "GGUF", what: "tensor \(quoted(source.name))", remedy: "export it as a Hugging Face folder")
            }
            guard source.elementType.isFloatingPoint, (1...2).contains(source.shape.count), !source.shape.contains(0)
            else {
                let type = "type \(source.elementType.rawValue) and shape \(source.shape)"
                throw ModelFormatError.unsupported(
                    path: "GGUF", what: "tensor \(quoted(source.name)) of \(type)",
                    remedy: "export it as a Hugging Face folder")
            }
            var type = source.shape.count == 1 ? GGUFTensorType.f32 : precision.tensorType
            let columns = source.shape[source.shape.count - 1]
            if columns % type.blockElementCount != 0 { type = .f16 }
            let byteCount = source.elementCount / type.blockElementCount * type.blockByteCount
            let info = GGUFTensorInfo(
                name: name, shape: source.shape, type: type, offset: offset, byteCount: byteCount)
            tensors.append(Tensor(source: source, info: info, rowOrder: try model.rowOrder(source)))
            infos.append(info)
            offset = GGUFHeaderWriter.aligned(offset + byteCount)
        }
        for (name, values) in model.ropeTensors {
            let info = GGUFTensorInfo(
                name: name, shape: [values.count], type: .f32, offset: offset, byteCount: values.count * 4)
            infos.append(info)
            divisors.append((values, offset))
            offset = GGUFHeaderWriter.aligned(offset + info.byteCount)
        }
        dataByteCount = offset
    }

    func write(
        _ header: [UInt8], from source: any TensorSource, to path: String, reportedAs name: String,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let file = try PlainFile(creating: path, reportedAs: name)
        try file.allocate(byteCount: header.count + dataByteCount)
        try header.withUnsafeBytes { try file.write($0, at: 0) }
        for (values, offset) in divisors {
            try values.withUnsafeBytes { try file.write($0, at: header.count + offset) }
        }
        let pieces = tensors.flatMap { tensor in
            GGUFPiece.cut(tensor, dataStart: header.count)
        }
        let done = ProgressCount(progress)
        try ParallelWork.forEach(pieces.count) { index in
            let piece = pieces[index]
            try piece.encode(from: source, to: file)
            done.add(piece.sourceRange.count)
        }
        // The padding after the last tensor is part of the file and zero.
        try file.truncate(to: header.count + dataByteCount)
    }
}

/// Rows of a tensor to be written to a GGUF file; if rows are permuted, they form whole heads.
struct GGUFPiece: Sendable {
    let tensor: GGUFExportPlan.Tensor
    let rows: Range<Int>
    let offset: Int

    static func cut(_ tensor: GGUFExportPlan.Tensor, dataStart: Int) -> [GGUFPiece] {
        let (rowCount, columns) = rowsAndColumns(tensor.source.shape, tensor.rowOrder)
        let unit = tensor.rowOrder?.headDimension ?? 1
        let wanted = max(1, TensorPiece.byteCount / 2 / (4 * columns * unit)) * unit
        let storedRow = tensor.info.byteCount / rowCount
        return stride(from: 0, to: rowCount, by: wanted).map { start in
            GGUFPiece(
                tensor: tensor, rows: start..<min(start + wanted, rowCount),
                offset: dataStart + tensor.info.offset + start * storedRow)
        }
    }

    /// A vector is one row, unless its elements are permuted.
    private static func rowsAndColumns(_ shape: [Int], _ order: HeadRowOrder?) -> (rows: Int, columns: Int) {
        if shape.count == 1 { return order == nil ? (1, shape[0]) : (shape[0], 1) }
        return (shape[0], shape[1])
    }

    private var columns: Int { Self.rowsAndColumns(tensor.source.shape, tensor.rowOrder).columns }

    /// The rows' bytes in the source.
    var sourceRange: Range<Int> {
        let rowByteCount = columns * tensor.source.elementType.byteCount
        return rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount
    }

    func encode(from source: any TensorSource, to file: PlainFile) throws {
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: sourceRange.count, alignment: 64)
        defer { stored.deallocate() }
        try source.read(tensor.source.name, range: sourceRange, into: stored)
        if let order = tensor.rowOrder { permute(stored, order) }
        let type = tensor.info.type
        if type.blockElementCount == 1, type.elementType == tensor.source.elementType {
            return try file.write(UnsafeRawBufferPointer(stored), at: offset)
        }
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * columns)
        defer { values.deallocate() }
        try ElementConversion.toFloat32(UnsafeRawBufferPointer(stored), tensor.source.elementType, into: values)
        let encodedByteCount = values.count / type.blockElementCount * type.blockByteCount
        let encoded = UnsafeMutableRawBufferPointer.allocate(byteCount: encodedByteCount, alignment: 64)
        defer { encoded.deallocate() }
        if type == .q80 {
            guard GGUFQuantization.encodeQ8(UnsafeBufferPointer(values), into: encoded) else {
                throw ModelFormatError.unsupported(
                    path: "GGUF",
                    what: "tensor \(quoted(tensor.source.name)) with NaN or infinite values as 8-bit blocks",
                    remedy: "export it as float32 or find the cause of these values")
            }
        } else {
            try ElementConversion.fromFloat32(UnsafeBufferPointer(values), type.elementType, into: encoded)
        }
        try file.write(UnsafeRawBufferPointer(encoded), at: offset)
    }

    /// Permutes the rows of whole heads to llama.cpp's order.
    private func permute(_ bytes: UnsafeMutableRawBufferPointer, _ order: HeadRowOrder) {
        let rowByteCount = columns * tensor.source.elementType.byteCount
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { copy.deallocate() }
        copy.copyMemory(from: UnsafeRawBufferPointer(bytes))
        for row in 0..<rows.count {
            // A piece starts with a head, so the permutation applies to row numbers within the piece.
            let target = order.ggufRow(row) * rowByteCount
            let stored = copy[row * rowByteCount..<(row + 1) * rowByteCount]
            UnsafeMutableRawBufferPointer(rebasing: bytes[target..<target + rowByteCount])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: stored))
        }
    }
}
