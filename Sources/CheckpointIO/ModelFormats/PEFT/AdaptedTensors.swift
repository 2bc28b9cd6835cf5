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

/// A scaled product of two narrow matrices, to be added to a weight.
struct LowRankProduct: Sendable {
    /// `[rows, rank]`.
    let left: [Float]
    /// `[rank, columns]`.
    let right: [Float]
    let rank: Int
    let columns: Int
    let scaling: Float

    /// Adds elements `range` of the product, counted row by row.
    func add(to values: UnsafeMutableBufferPointer<Float>, elements range: Range<Int>) {
        guard columns > 0, !range.isEmpty else { return }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { sum in
            for row in range.lowerBound / columns...(range.upperBound - 1) / columns {
                let part = (row * columns..<(row + 1) * columns).clamped(to: range)
                let start = part.lowerBound - row * columns
                sum.initialize(repeating: 0)
                right.withUnsafeBufferPointer { right in
                    for index in 0..<rank {
                        let factor = left[row * rank + index]
                        let offset = index * columns + start
                        for column in 0..<part.count { sum[column] += factor * right[offset + column] }
                    }
                }
                let offset = part.lowerBound - range.lowerBound
                for column in 0..<part.count { values[offset + column] += scaling * sum[column] }
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
