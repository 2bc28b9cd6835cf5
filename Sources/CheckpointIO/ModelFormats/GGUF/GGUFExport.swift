import OrderedJSON
import Parallel

/// Writes a model as a GGUF file that llama.cpp loads.
public enum GGUFExport {
    /// What matrices are stored as; vectors (norms, biases) are always float32, as llama.cpp wants them.
    public enum Precision: String, Sendable, CaseIterable {
        case float32, float16, bfloat16
        /// Blocks of 32 signed bytes with a scale. A matrix whose rows are no multiple of 32 becomes float16.
        case q80 = "q8_0"

        var tensorType: GGUFTensorType {
            switch self {
            case .float32: .f32
            case .float16: .f16
            case .bfloat16: .bf16
            case .q80: .q80
            }
        }

        /// llama.cpp's number for a file of which most tensors have this type.
        var fileType: Int {
            switch self {
            case .float32: 0
            case .float16: 1
            case .q80: 7
            case .bfloat16: 32
            }
        }
    }

    /// Writes the model under a temporary name beside `path`, flushes it and gives it its name.
    ///
    /// - Parameters:
    ///   - source: the tensors under their Hugging Face names, tied ones once.
    ///   - precision: nil to keep the type most of the model is stored as.
    ///   - progress: gets the tensor bytes read so far, from several threads.
    /// - Throws: `ModelFormatError` where llama.cpp has no way to say what the model is, or what `source` throws.
    public static func write(
        _ metadata: CheckpointMetadata, _ source: any TensorSource, to path: String, overwrite: Bool,
        precision: Precision? = nil, progress: (@Sendable (Int) -> Void)? = nil
    ) throws {
        let precision =
            precision ?? Precision(rawValue: HuggingFaceTexts.commonType(source.tensors).rawValue) ?? .float32
        let config = try TextFile.object(Array(metadata.config.utf8), path: "/config")
        let model = try GGUFModelKeys(config, source.tensors)
        var header = GGUFHeaderWriter()
        let name = path.split(separator: "/").last.map(String.init) ?? path
        try model.add(to: &header, name: name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name, precision)
        if let tokenizer = metadata.tokenizer {
            try GGUFTokenizerKeys(metadata, tokenizer, config, rows: model.vocabularySize).add(to: &header)
        }
        if let template = metadata.chatTemplate { header.add("tokenizer.chat_template", template) }

        let plan = try GGUFExportPlan(source.tensors, model, precision)
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            try plan.write(header.bytes(plan.infos), from: source, to: file.temporaryPath, reportedAs: path, progress)
            try file.commit()
        } catch {
            file.discard()
            throw error
        }
    }
}

/// Which tensor goes where in a GGUF file, as what.
struct GGUFExportPlan {
    struct Tensor: Sendable {
        var source: TensorDescription
        var info: GGUFTensorInfo
        /// Nil where the rows stay in their order.
        var rowOrder: HeadRowOrder?
    }

    private(set) var tensors: [Tensor] = []
    /// The divisors of llama3's RoPE scaling, written as a tensor of their own.
    private let divisors: [Float]
    private let divisorsOffset: Int
    private let dataByteCount: Int
    /// All tensors as the header lists them.
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
                throw ModelFormatError.unsupported(
                    path: "GGUF",
                    what:
                        "tensor \(quoted(source.name)) of type \(source.elementType.rawValue) and shape \(source.shape)",
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
        divisors = model.ropeDivisors
        divisorsOffset = offset
        if !divisors.isEmpty {
            let info = GGUFTensorInfo(
                name: "rope_freqs.weight", shape: [divisors.count], type: .f32, offset: offset,
                byteCount: divisors.count * 4)
            infos.append(info)
            offset = GGUFHeaderWriter.aligned(offset + info.byteCount)
        }
        dataByteCount = offset
    }

    func write(
        _ header: [UInt8], from source: any TensorSource, to path: String, reportedAs name: String,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let file = try OutputFile(path, byteCount: header.count + dataByteCount, reportedAs: name)
        try header.withUnsafeBytes { try file.write($0, at: 0) }
        if !divisors.isEmpty {
            try divisors.withUnsafeBytes { try file.write($0, at: header.count + divisorsOffset) }
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
        // What lies behind the last tensor up to the alignment is there, as zeros.
        try file.setByteCount(header.count + dataByteCount)
    }
}

/// Whole rows of a tensor on their way into a GGUF file; of one whose rows change places, whole heads.
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

    /// A vector is one row, unless its elements are what changes places.
    private static func rowsAndColumns(_ shape: [Int], _ order: HeadRowOrder?) -> (rows: Int, columns: Int) {
        if shape.count == 1 { return order == nil ? (1, shape[0]) : (shape[0], 1) }
        return (shape[0], shape[1])
    }

    private var columns: Int { Self.rowsAndColumns(tensor.source.shape, tensor.rowOrder).columns }

    /// Logical bytes of the source.
    var sourceRange: Range<Int> {
        let rowByteCount = columns * tensor.source.elementType.byteCount
        return rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount
    }

    func encode(from source: any TensorSource, to file: OutputFile) throws {
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: sourceRange.count, alignment: 64)
        defer { stored.deallocate() }
        try source.read(tensor.source.name, range: sourceRange, into: stored)
        if let order = tensor.rowOrder { try permute(stored, order) }
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
                    remedy: "export it as float32 or find out what broke it")
            }
        } else {
            try ElementConversion.fromFloat32(UnsafeBufferPointer(values), type.elementType, into: encoded)
        }
        try file.write(UnsafeRawBufferPointer(encoded), at: offset)
    }

    /// Brings whole heads into llama.cpp's order.
    private func permute(_ bytes: UnsafeMutableRawBufferPointer, _ order: HeadRowOrder) throws {
        let rowByteCount = columns * tensor.source.elementType.byteCount
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { copy.deallocate() }
        copy.copyMemory(from: UnsafeRawBufferPointer(bytes))
        for row in 0..<rows.count {
            // Pieces begin at a head, so places within the piece are places within its heads.
            let target = order.ggufRow(row) * rowByteCount
            bytes.baseAddress!.advanced(by: target).copyMemory(
                from: copy.baseAddress! + row * rowByteCount, byteCount: rowByteCount)
        }
    }
}

/// ggml's way of storing float32 in blocks.
package enum GGUFQuantization {
    /// Blocks of 32 signed bytes, each with the scale that makes its largest magnitude 127; bit for bit what ggml's
    /// reference code and the `gguf` package give.
    ///
    /// - Returns: false where a value is not finite.
    package static func encodeQ8(
        _ values: UnsafeBufferPointer<Float>, into destination: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let input = values.baseAddress, let output = destination.baseAddress else { return true }
        for block in 0..<values.count / 32 {
            let source = input + 32 * block
            let target = output + 34 * block
            var largest: Float = 0
            var sum: Float = 0
            for j in 0..<32 {
                largest = max(largest, abs(source[j]))
                // Not finite as soon as one value is not: NaN passes through, and infinity times zero is NaN.
                sum += source[j] * 0
            }
            guard sum == 0 else { return false }
            let scale = largest / 127
            let inverse = scale == 0 ? 0 : 1 / scale
            target.storeBytes(of: ElementConversion.float32ToFloat16(scale).littleEndian, as: UInt16.self)
            for j in 0..<32 {
                let scaled = source[j] * inverse
                // Halves go away from zero. A subnormal scale has an infinite inverse; its block keeps the largest.
                let rounded = (abs(scaled) + 0.5).rounded(.down)
                let magnitude = rounded < 127 ? Int8(rounded) : 127
                target.storeBytes(of: scaled < 0 ? -magnitude : magnitude, toByteOffset: 2 + j, as: Int8.self)
            }
        }
        return true
    }
}
