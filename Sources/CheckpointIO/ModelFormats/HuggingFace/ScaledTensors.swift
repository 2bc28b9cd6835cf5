import OrderedJSON

/// FP8 weights times their scales, as the float32 values they stand for.
///
/// The scales of `NAME.weight` are the tensor `NAME.weight_scale` or `NAME.weight_scale_inv`: one of the whole tensor,
/// one for each row, or one for each block of rows and columns. They multiply under either name.
struct ScaledTensors: TensorSource {
    let tensors: [TensorDescription]
    private let base: any TensorSource
    private let scales: [String: Scales]

    /// The scales of a tensor.
    fileprivate struct Scales {
        /// By rows of blocks.
        let values: [Float]
        let blockRows: Int
        let blockColumns: Int
        let columns: Int
        let byteCount: Int
    }

    /// The names of scales after that of a weight.
    private static let suffixes = ["_scale", "_scale_inv"]
    /// The ends of names of scales that belong to activations and caches.
    private static let otherScales = [
        ".input_scale", ".activation_scale", ".k_scale", ".v_scale", ".q_scale", ".output_scale",
    ]

    /// Scales the FP8 weights of a source.
    ///
    /// - Parameters:
    ///   - source: the tensors of the files.
    ///   - block: rows and columns of a block, where the configuration says so.
    ///   - path: the files, for errors.
    ///   - notes: receives what was done.
    /// - Returns: a source of the scaled weights, without their scales; `source` itself if it has no FP8 weights.
    /// - Throws: `ModelFormatError` if scales do not fit their weights.
    static func resolve(
        _ source: any TensorSource, block: (rows: Int, columns: Int)?, path: String, _ notes: inout [String]
    ) throws -> any TensorSource {
        let eighths = source.tensors.filter { source.quantization(of: $0.name) != nil }
        guard !eighths.isEmpty else { return source }
        let byName = Dictionary(source.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var scales: [String: Scales] = [:]
        var left: Set<String> = []
        for weight in eighths {
            guard let scale = suffixes.lazy.compactMap({ byName[weight.name + $0] }).first else { continue }
            left.insert(scale.name)
            scales[weight.name] = try Self.scales(scale, of: weight, block, source, path)
        }
        left.formUnion(byName.keys.filter { name in otherScales.contains(where: name.hasSuffix) })
        let types = Set(eighths.compactMap { source.quantization(of: $0.name)?.name }).sorted()
        let times = scales.isEmpty ? "" : " times their scales"
        notes.append("\(types.joined(separator: ", ")) values\(times) are converted to float32")
        return ScaledTensors(
            tensors: source.tensors.filter { !left.contains($0.name) }, base: source, scales: scales)
    }

    private static func scales(
        _ scale: TensorDescription, of weight: TensorDescription, _ block: (rows: Int, columns: Int)?,
        _ source: any TensorSource, _ path: String
    ) throws -> Scales {
        func malformed(_ reason: String) -> ModelFormatError {
            .malformed(path: path, place: "tensor \(quoted(scale.name))", reason: reason)
        }
        guard scale.elementType.isFloatingPoint, weight.shape.count == 2, weight.elementCount > 0,
            scale.elementCount > 0
        else { throw malformed("is not the scale of a matrix") }
        let (rows, columns) = (weight.shape[0], weight.shape[1])
        let found: (rows: Int, columns: Int)
        if scale.elementCount == 1 {
            found = (rows, columns)
        } else if scale.shape == [rows] || scale.shape == [rows, 1] {
            found = (1, columns)
        } else {
            // Without a configuration: the blocks of DeepSeek and Qwen.
            found = block ?? (128, 128)
            let expected = [(rows + found.rows - 1) / found.rows, (columns + found.columns - 1) / found.columns]
            guard scale.shape == expected else {
                throw malformed(
                    "has the shape \(scale.shape); \(weight.shape) in blocks of \(found.rows) × \(found.columns) "
                        + "has \(expected) scales")
            }
        }
        var values = [Float](repeating: 0, count: scale.elementCount)
        try values.withUnsafeMutableBufferPointer {
            try source.readFloat32(scale.name, scale.elementType, elements: 0..<scale.elementCount, into: $0)
        }
        return Scales(
            values: values, blockRows: found.rows, blockColumns: found.columns, columns: columns,
            byteCount: scale.byteCount)
    }

    func quantization(of name: String) -> TensorQuantization? {
        guard var quantization = base.quantization(of: name), let scales = scales[name] else {
            return base.quantization(of: name)
        }
        let fits = scales.columns % scales.blockColumns == 0
        quantization.blockElementCount = fits ? scales.blockColumns : scales.columns
        quantization.storedByteCount += scales.byteCount
        return quantization
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let scales = scales[name] else { return try base.read(name, range: range, into: destination) }
        try ElementType.float32.fill(range, into: destination) { elements, values in
            try base.readFloat32(name, .float32, elements: elements, into: values)
            scales.multiply(values, elements)
        }
    }
}

extension ScaledTensors.Scales {
    /// Multiplies elements of the tensor by their scales.
    fileprivate func multiply(_ elements: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>) {
        let perRow = (columns + blockColumns - 1) / blockColumns
        var position = range.lowerBound
        while position < range.upperBound {
            let (row, column) = position.quotientAndRemainder(dividingBy: columns)
            let block = column / blockColumns
            let end = min(row * columns + min((block + 1) * blockColumns, columns), range.upperBound)
            let scale = values[row / blockRows * perRow + block]
            for index in position - range.lowerBound..<end - range.lowerBound { elements[index] *= scale }
            position = end
        }
    }
}
