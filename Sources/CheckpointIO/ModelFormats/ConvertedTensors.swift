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

extension ElementType {
    /// Fills bytes `range` of a tensor of this type from elements that `compute` gives as float32.
    func fill(
        _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer,
        _ compute: (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        guard !range.isEmpty else { return }
        // The elements that overlap the range; the first and the last may be only partly inside.
        let elements = range.lowerBound / byteCount..<(range.upperBound + byteCount - 1) / byteCount
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: elements.count)
        defer { values.deallocate() }
        try compute(elements, values)
        if range.lowerBound % byteCount == 0, range.upperBound % byteCount == 0 {
            return try ElementConversion.fromFloat32(UnsafeBufferPointer(values), self, into: destination)
        }
        let converted = UnsafeMutableRawBufferPointer.allocate(byteCount: elements.count * byteCount, alignment: 16)
        defer { converted.deallocate() }
        try ElementConversion.fromFloat32(UnsafeBufferPointer(values), self, into: converted)
        let start = range.lowerBound - elements.lowerBound * byteCount
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: converted[start..<start + range.count]))
    }
}
