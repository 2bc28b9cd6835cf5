/// What a tensor is, without its values: its Hugging Face name, element type and shape.
public struct TensorDescription: Sendable, Equatable {
    /// The name as Hugging Face writes it, e.g. `model.layers.0.self_attn.q_proj.weight`.
    public var name: String
    public var elementType: ElementType
    /// Row-major dimensions; empty for a scalar.
    public var shape: [Int]

    public init(name: String, elementType: ElementType, shape: [Int]) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
    }

    /// The product of `shape`. It must not overflow: readers and `CheckpointWriter` check foreign shapes with
    /// `checkedByteCount` first.
    public var elementCount: Int { shape.contains(0) ? 0 : shape.reduce(1, *) }

    /// Bytes of the logical little-endian content.
    public var byteCount: Int { elementCount * elementType.byteCount }

    /// `byteCount`, or nil where a dimension is negative or the product does not fit `Int`.
    public var checkedByteCount: Int? {
        guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
        // A zero anywhere makes the tensor empty however large the other dimensions are.
        if shape.contains(0) { return 0 }
        var count = elementType.byteCount
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if overflow { return nil }
            count = product
        }
        return count
    }
}

/// Which set of tensors one belongs to, each a tree of datasets of its own with the same names.
public enum TensorGroup: String, Sendable, CaseIterable {
    /// The model itself, `/weights`.
    case weights
    /// AdamW's first moment, `/optimizer/m`.
    case optimizerM
    /// AdamW's second moment, `/optimizer/v`.
    case optimizerV

    /// The HDF5 group that holds the tensors.
    public var path: String {
        switch self {
        case .weights: "/weights"
        case .optimizerM: "/optimizer/m"
        case .optimizerV: "/optimizer/v"
        }
    }
}
