import OrderedJSON

/// The weights of a base model with an adapter merged.
///
/// Weights with LoRA are `W + s·(B·A)`, computed in float32 and rounded once to the type of the base; the sum over the
/// rank runs in ascending order. Other weights are read from the base or the adapter.
struct AdaptedTensors: TensorSource {
    let tensors: [TensorDescription]
    private let base: any TensorSource
    private let changes: [String: WeightChange]

    init(_ base: any TensorSource, _ changes: [String: WeightChange]) {
        self.base = base
        self.changes = changes
        tensors = base.tensors.map { tensor in
            var changed = tensor
            if let rows = changes[tensor.name]?.rowCount { changed.shape[0] = rows }
            return changed
        }
    }

    func quantization(of name: String) -> TensorQuantization? {
        changes[name] == nil ? base.quantization(of: name) : nil
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let change = changes[name] else { return try base.read(name, range: range, into: destination) }
        try change.type.fill(range, into: destination) { elements, values in
            try change.fill(elements, into: values, base)
        }
    }
}

/// How an adapter changes one weight.
final class WeightChange: Sendable {
    /// The weight's description in the base, whose type the result has.
    private let original: TensorDescription
    /// The adapter's file and the tensor that replaces the weight, if one does.
    private let replacement: (source: SafetensorsFile, tensor: TensorDescription)?
    private let product: LowRankProduct?
    /// New values of rows, `[rows, columns]`, and the place in it of each row.
    private let rows: (values: [Float], places: [Int: Int])

    init(
        _ original: TensorDescription, replacement: (source: SafetensorsFile, tensor: TensorDescription)?,
        product: LowRankProduct?, rows: (values: [Float], places: [Int: Int])
    ) {
        self.original = original
        self.replacement = replacement
        self.product = product
        self.rows = rows
    }

    var type: ElementType { original.elementType }
    var hasProduct: Bool { product != nil }
    var isReplaced: Bool { replacement != nil }
    /// The length of the first dimension if it differs from the base's.
    var rowCount: Int? { replacement.flatMap { $0.tensor.shape == original.shape ? nil : $0.tensor.shape.first } }

    /// Computes elements `range` as float32.
    func fill(
        _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>, _ base: any TensorSource
    ) throws {
        let tensor = replacement?.tensor ?? original
        let source = replacement.map { $0.source as any TensorSource } ?? base
        try source.readFloat32(tensor.name, tensor.elementType, elements: range, into: values)
        product?.add(to: values, elements: range)
        guard !rows.places.isEmpty, let columns = tensor.shape.last, columns > 0 else { return }
        for row in range.lowerBound / columns...(range.upperBound - 1) / columns {
            guard let place = rows.places[row] else { continue }
            let part = (row * columns..<(row + 1) * columns).clamped(to: range)
            for element in part {
                values[element - range.lowerBound] = rows.values[place * columns + element % columns]
            }
        }
    }
}

extension TensorSource {
    /// All elements of a tensor as float32.
    func float32(_ tensor: TensorDescription) throws -> [Float] {
        try [Float](unsafeUninitializedCapacity: tensor.elementCount) { buffer, count in
            let values = UnsafeMutableBufferPointer(rebasing: buffer[..<tensor.elementCount])
            try readFloat32(tensor.name, tensor.elementType, elements: 0..<tensor.elementCount, into: values)
            count = tensor.elementCount
        }
    }
}
