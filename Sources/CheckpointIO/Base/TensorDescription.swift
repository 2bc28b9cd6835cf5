/// A tensor's Hugging Face name, element type and shape.
public struct TensorDescription: Sendable, Equatable {
    /// The Hugging Face name, for example `model.layers.0.self_attn.q_proj.weight`.
    public var name: String
    public var elementType: ElementType
    /// Row-major dimensions; empty for a scalar.
    public var shape: [Int]

    public init(name: String, elementType: ElementType, shape: [Int]) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
    }

    /// The product of `shape`.
    ///
    /// The product must not overflow: readers and `CheckpointWriter` check shapes with `checkedByteCount` first.
    public var elementCount: Int { shape.contains(0) ? 0 : shape.reduce(1, *) }

    /// Bytes of the uncompressed little-endian content.
    public var byteCount: Int { elementCount * elementType.byteCount }

    /// `byteCount`, or nil if a dimension is negative or the product does not fit `Int`.
    package var checkedByteCount: Int? {
        guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
        return CheckpointIO.checkedByteCount(shape, elementType.byteCount)
    }
}

/// The bytes of an array of this shape, or nil if the product does not fit `Int`.
func checkedByteCount(_ shape: [Int], _ elementSize: Int) -> Int? {
    // A zero anywhere makes the array empty, however large the other dimensions are.
    if shape.contains(0) { return 0 }
    var count = elementSize
    for dimension in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
        if overflow { return nil }
        count = product
    }
    return count
}

/// The sets of tensors in a checkpoint; each is a tree of datasets.
public enum TensorGroup: String, Sendable, CaseIterable {
    /// The model, `/weights`.
    case weights
    /// AdamW's first moments, `/optimizer/m`.
    case optimizerM
    /// AdamW's second moments, `/optimizer/v`.
    case optimizerV
    /// The matrices of a LoRA adapter, `/adapter`: `NAME.lora_A.weight` and `NAME.lora_B.weight`.
    case adapter
    /// The values that the weights changed by an adapter had before, `/base`.
    case base

    /// The HDF5 group that holds the tensors.
    public var path: String {
        switch self {
        case .weights: "/weights"
        case .optimizerM: "/optimizer/m"
        case .optimizerV: "/optimizer/v"
        case .adapter: "/adapter"
        case .base: "/base"
        }
    }
}
