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
        let width = elementType.byteCount
        // The elements that overlap the range; the first and the last may be only partly inside.
        let elements = range.lowerBound / width..<(range.upperBound + width - 1) / width
        let bytes = elements.lowerBound * type.byteCount..<elements.upperBound * type.byteCount
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: elements.count)
        defer {
            stored.deallocate()
            values.deallocate()
        }
        try base.read(name, range: bytes, into: stored)
        try ElementConversion.toFloat32(UnsafeRawBufferPointer(stored), type, into: values)
        let isWhole = range.lowerBound % width == 0 && range.upperBound % width == 0
        if isWhole {
            try ElementConversion.fromFloat32(UnsafeBufferPointer(values), elementType, into: destination)
        } else {
            let converted = UnsafeMutableRawBufferPointer.allocate(byteCount: elements.count * width, alignment: 16)
            defer { converted.deallocate() }
            try ElementConversion.fromFloat32(UnsafeBufferPointer(values), elementType, into: converted)
            let start = range.lowerBound - elements.lowerBound * width
            destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: converted[start..<start + range.count]))
        }
    }
}
