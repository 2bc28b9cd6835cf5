/// A source that converts the floating-point tensors of another source while they are read.
///
/// Widening is exact; narrowing rounds to nearest, ties to even. Integers and booleans are not converted.
public struct ConvertedTensors: TensorSource {
    public let tensors: [TensorDescription]
    private let base: any TensorSource
    private let original: [String: ElementType]
    private let elementType: ElementType

    /// Converts `base` to `elementType`, a floating-point type.
    public init(_ base: any TensorSource, to elementType: ElementType) {
        self.base = base
        self.elementType = elementType
        var original: [String: ElementType] = [:]
        tensors = base.tensors.map { tensor in
            guard tensor.elementType.isFloatingPoint, tensor.elementType != elementType else { return tensor }
            original[tensor.name] = tensor.elementType
            var converted = tensor
            converted.elementType = elementType
            return converted
        }
        self.original = original
    }

    public func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let type = original[name] else { return try base.read(name, range: range, into: destination) }
        try elementType.fill(range, into: destination) { elements, values in
            try base.readFloat32(name, type, elements: elements, into: values)
        }
    }
}

extension TensorSource {
    /// Reads elements `range` of a tensor of the given type as float32.
    func readFloat32(
        _ name: String, _ type: ElementType, elements range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws {
        let bytes = range.lowerBound * type.byteCount..<range.upperBound * type.byteCount
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        defer { stored.deallocate() }
        try read(name, range: bytes, into: stored)
        try ElementConversion.toFloat32(UnsafeRawBufferPointer(stored), type, into: values)
    }
}
