/// Errors of `ElementConversion`.
public enum ElementConversionError: Error, CustomStringConvertible, Equatable {
    /// The source and the destination do not hold the same number of elements.
    case countMismatch(sourceBytes: Int, elements: Int, type: ElementType)
    /// The integer type cannot represent the value exactly; values are never rounded or clamped silently.
    case notRepresentable(value: Float, index: Int, type: ElementType)

    public var description: String {
        switch self {
        case .countMismatch(let bytes, let elements, let type):
            "\(bytes) bytes do not hold \(elements) elements of \(type.rawValue)"
        case .notRepresentable(let value, let index, let type):
            "element \(index): \(value) is not a value of \(type.rawValue); cast to a floating-point type instead"
        }
    }
}

/// Converts between a tensor's stored elements and float32.
///
/// float32 keeps its bits. bfloat16 and float16 widen exactly and narrow by rounding to nearest, ties to even; a NaN
/// stays a NaN (with as many of its top payload bits as fit), and values out of range become infinite. A float32
/// converts to an integer type only if that type represents it exactly.
public enum ElementConversion {
    /// Converts `source`, little-endian elements of `type`, to float32; it must fill `destination` exactly.
    ///
    /// - Throws: `ElementConversionError.countMismatch`.
    public static func toFloat32(
        _ source: UnsafeRawBufferPointer, _ type: ElementType, into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        let count = destination.count
        guard source.count == count * type.byteCount else {
            throw ElementConversionError.countMismatch(sourceBytes: source.count, elements: count, type: type)
        }
        guard let input = source.baseAddress, let output = destination.baseAddress else { return }
        switch type {
        case .float32: UnsafeMutableRawPointer(output).copyMemory(from: input, byteCount: source.count)
        case .bfloat16: widen(input, output, count, as: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .float16: widen(input, output, count, as: UInt16.self, float16ToFloat32)
        case .float64: widen(input, output, count, as: UInt64.self) { Float(Double(bitPattern: $0)) }
        case .int8: widen(input, output, count, as: Int8.self) { Float($0) }
        case .int16: widen(input, output, count, as: Int16.self) { Float($0) }
        case .int32: widen(input, output, count, as: Int32.self) { Float($0) }
        case .int64: widen(input, output, count, as: Int64.self) { Float($0) }
        case .uint8, .bool: widen(input, output, count, as: UInt8.self) { Float($0) }
        case .uint16: widen(input, output, count, as: UInt16.self) { Float($0) }
        case .uint32: widen(input, output, count, as: UInt32.self) { Float($0) }
        case .uint64: widen(input, output, count, as: UInt64.self) { Float($0) }
        }
    }

    /// Converts `source` to little-endian elements of `type`; they must fill `destination` exactly.
    ///
    /// - Throws: `ElementConversionError`.
    public static func fromFloat32(
        _ source: UnsafeBufferPointer<Float>, _ type: ElementType, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let count = source.count
        guard destination.count == count * type.byteCount else {
            throw ElementConversionError.countMismatch(sourceBytes: destination.count, elements: count, type: type)
        }
        guard let input = source.baseAddress, let output = destination.baseAddress else { return }
        switch type {
        case .float32: output.copyMemory(from: UnsafeRawPointer(input), byteCount: destination.count)
        case .bfloat16: narrow(input, output, count, float32ToBFloat16)
        case .float16: narrow(input, output, count, float32ToFloat16)
        case .float64: narrow(input, output, count) { Double($0).bitPattern }
        case .int8: try narrowExactly(input, output, count, type, as: Int8.self)
        case .int16: try narrowExactly(input, output, count, type, as: Int16.self)
        case .int32: try narrowExactly(input, output, count, type, as: Int32.self)
        case .int64: try narrowExactly(input, output, count, type, as: Int64.self)
        case .uint8: try narrowExactly(input, output, count, type, as: UInt8.self)
        case .uint16: try narrowExactly(input, output, count, type, as: UInt16.self)
        case .uint32: try narrowExactly(input, output, count, type, as: UInt32.self)
        case .uint64: try narrowExactly(input, output, count, type, as: UInt64.self)
        case .bool:
            for index in 0..<count where input[index] != 0 && input[index] != 1 {
                throw ElementConversionError.notRepresentable(value: input[index], index: index, type: type)
            }
            narrow(input, output, count) { UInt8($0) }
        }
    }

    /// The float32 value of a float16 given by its bits; exact.
    @inline(__always)
    public static func float16ToFloat32(_ half: UInt16) -> Float {
        let magnitude = UInt32(half & 0x7fff) << 13
        let sign = UInt32(half & 0x8000) << 16
        // Scaling by 2^112 changes the exponent bias from 15 to 127 and normalises subnormals.
        let scaled = (Float(bitPattern: magnitude) * Float(bitPattern: 0x7780_0000)).bitPattern
        let isSpecial = magnitude >= 0x0f80_0000
        return Float(bitPattern: (isSpecial ? magnitude | 0x7f80_0000 : scaled) | sign)
    }

    /// The bits of the float16 nearest to `value`, ties to even.
    @inline(__always)
    public static func float32ToFloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let sign = UInt16(truncatingIfNeeded: (bits >> 16) & 0x8000)
        let magnitude = bits & 0x7fff_ffff
        if magnitude > 0x7f80_0000 { return sign | 0x7e00 | UInt16(truncatingIfNeeded: (magnitude >> 13) & 0x3ff) }
        if magnitude >= 0x4780_0000 { return sign | 0x7c00 }
        if magnitude < 0x3880_0000 {
            // Below the smallest normal: adding 0.5 leaves the rounded subnormal in the low bits of the sum.
            let sum = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: sum.bitPattern &- 0x3f00_0000)
        }
        let rounded = magnitude &+ 0xc800_0fff &+ ((magnitude >> 13) & 1)
        return sign | UInt16(truncatingIfNeeded: rounded >> 13)
    }

    /// The bits of the bfloat16 nearest to `value`, ties to even.
    @inline(__always)
    public static func float32ToBFloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let rounded = (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16
        let quiet = (bits >> 16) | 0x40
        return UInt16(truncatingIfNeeded: value.isNaN ? quiet : rounded)
    }
}

@inline(__always)
private func widen<Stored: BitwiseCopyable>(
    _ input: UnsafeRawPointer, _ output: UnsafeMutablePointer<Float>, _ count: Int, as: Stored.Type,
    _ convert: (Stored) -> Float
) {
    let stride = MemoryLayout<Stored>.stride
    for index in 0..<count {
        output[index] = convert(input.loadUnaligned(fromByteOffset: index &* stride, as: Stored.self))
    }
}

@inline(__always)
private func narrow<Stored: BitwiseCopyable>(
    _ input: UnsafePointer<Float>, _ output: UnsafeMutableRawPointer, _ count: Int, _ convert: (Float) -> Stored
) {
    let stride = MemoryLayout<Stored>.stride
    for index in 0..<count {
        output.storeBytes(of: convert(input[index]), toByteOffset: index &* stride, as: Stored.self)
    }
}

private func narrowExactly<Stored: FixedWidthInteger & BitwiseCopyable>(
    _ input: UnsafePointer<Float>, _ output: UnsafeMutableRawPointer, _ count: Int, _ type: ElementType,
    as: Stored.Type
) throws {
    let stride = MemoryLayout<Stored>.stride
    for index in 0..<count {
        guard let value = Stored(exactly: input[index]) else {
            throw ElementConversionError.notRepresentable(value: input[index], index: index, type: type)
        }
        output.storeBytes(of: value, toByteOffset: index &* stride, as: Stored.self)
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
