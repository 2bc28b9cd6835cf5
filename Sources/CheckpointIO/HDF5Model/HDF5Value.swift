/// The type of a value: an element type, or text of a fixed length.
enum HDF5ValueType: Sendable, Equatable {
    case element(ElementType)
    /// UTF-8, padded with NUL.
    case text(byteCount: Int)

    /// Bytes of one element.
    var byteCount: Int {
        switch self {
        case .element(let type): type.byteCount
        case .text(let count): count
        }
    }

    /// The type's name in the record digest, which does not depend on the length of texts.
    var digestName: String {
        switch self {
        case .element(let type): type.rawValue
        case .text: "string"
        }
    }
}

/// The value of a small dataset or an attribute: type, shape (nil for a scalar) and stored bytes.
struct HDF5Value: Sendable, Equatable {
    var type: HDF5ValueType
    var shape: [Int]?
    var bytes: [UInt8]

    static func text(_ text: String) -> HDF5Value {
        let bytes = Array(text.utf8)
        // HDF5 has no string type of length 0; a single NUL reads back as the empty text.
        return HDF5Value(
            type: .text(byteCount: max(1, bytes.count)), shape: nil, bytes: bytes.isEmpty ? [0] : bytes)
    }

    static func texts(_ texts: [String]) -> HDF5Value {
        let width = max(1, texts.map(\.utf8.count).max() ?? 1)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(width * texts.count)
        for text in texts {
            bytes.append(contentsOf: text.utf8)
            bytes.append(contentsOf: repeatElement(0, count: width - text.utf8.count))
        }
        return HDF5Value(type: .text(byteCount: width), shape: [texts.count], bytes: bytes)
    }

    static func integer(_ value: Int) -> HDF5Value {
        HDF5Value(type: .element(.int64), shape: nil, bytes: littleEndian([Int64(value)]))
    }

    static func integers(_ values: [Int]) -> HDF5Value {
        HDF5Value(type: .element(.int64), shape: [values.count], bytes: littleEndian(values.map { Int64($0) }))
    }

    static func double(_ value: Double) -> HDF5Value {
        HDF5Value(type: .element(.float64), shape: nil, bytes: littleEndian([value.bitPattern]))
    }

    static func doubles(_ values: [Double], shape: [Int]? = nil) -> HDF5Value {
        HDF5Value(
            type: .element(.float64), shape: shape ?? [values.count], bytes: littleEndian(values.map(\.bitPattern)))
    }

    static func booleans(_ values: [Bool]) -> HDF5Value {
        HDF5Value(type: .element(.bool), shape: [values.count], bytes: values.map { $0 ? 1 : 0 })
    }

    private static func littleEndian<Integer: FixedWidthInteger>(_ values: [Integer]) -> [UInt8] {
        values.map(\.littleEndian).withUnsafeBytes { Array($0) }
    }
}

extension HDF5Value {
    /// The elements as texts without padding; nil if the type is not text or the bytes are not UTF-8.
    var texts: [String]? {
        guard case .text(let width) = type else { return nil }
        var result: [String] = []
        for start in stride(from: 0, to: bytes.count, by: width) {
            let element = bytes[start..<start + width]
            let end = element.lastIndex { $0 != 0 }.map { $0 + 1 } ?? start
            guard let text = String(validating: element[start..<end], as: UTF8.self) else { return nil }
            result.append(text)
        }
        return result
    }

    /// The scalar text.
    var text: String? { shape == nil ? texts?.first : nil }

    /// The elements of a 64-bit integer value.
    var integers: [Int]? {
        guard type == .element(.int64) else { return nil }
        return elements(of: Int64.self).map { Int($0) }
    }

    /// The scalar integer.
    var integer: Int? { shape == nil ? integers?.first : nil }

    /// The elements of a 64-bit floating-point value, in row-major order.
    var doubles: [Double]? {
        guard type == .element(.float64) else { return nil }
        return elements(of: UInt64.self).map { Double(bitPattern: $0) }
    }

    /// The scalar number.
    var double: Double? { shape == nil ? doubles?.first : nil }

    /// The elements of a boolean value.
    var booleans: [Bool]? {
        guard type == .element(.bool) else { return nil }
        return bytes.map { $0 != 0 }
    }

    private func elements<Integer: FixedWidthInteger>(of: Integer.Type) -> [Integer] {
        bytes.withUnsafeBytes { buffer in
            (0..<buffer.count / MemoryLayout<Integer>.size).map {
                Integer(
                    littleEndian: buffer.loadUnaligned(
                        fromByteOffset: $0 * MemoryLayout<Integer>.size, as: Integer.self))
            }
        }
    }
}
