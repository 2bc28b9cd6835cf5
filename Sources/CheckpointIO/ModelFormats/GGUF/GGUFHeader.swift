/// A value in the key-value section of a GGUF file.
enum GGUFValue: Sendable, Equatable {
    case integer(Int)
    case float32(Float)
    case float64(Double)
    case bool(Bool)
    case string(String)
    case integers([Int])
    case floats([Double])
    case bools([Bool])
    case strings([String])

    /// The kind of value, for error messages.
    var kindName: String {
        switch self {
        case .integer: "an integer"
        case .float32, .float64: "a number"
        case .bool: "a boolean"
        case .string: "a string"
        case .integers: "an array of integers"
        case .floats: "an array of numbers"
        case .bools: "an array of booleans"
        case .strings: "an array of strings"
        }
    }
}

/// An entry in the tensor list of a GGUF file.
struct GGUFTensorInfo: Sendable, Equatable {
    /// llama.cpp's name, for example `blk.0.attn_q.weight`.
    var name: String
    /// Row-major dimensions, the reverse of the order in the file.
    var shape: [Int]
    var type: GGUFTensorType
    /// Offset from the start of the file.
    var offset: Int
    /// Stored bytes.
    var byteCount: Int
    /// The index of the file among the model's shards.
    var shard = 0
}

/// The key-values and the tensor list of a GGUF file, version 2 or 3.
///
/// Counts and lengths are checked against the size of the file before memory is allocated for them.
struct GGUFHeader: Sendable {
    private(set) var values: [String: GGUFValue] = [:]
    /// The tensors in the order of the file.
    private(set) var tensors: [GGUFTensorInfo] = []

    static let maximumKeyByteCount = 65_535
    /// Twice the tokens that a tokenizer may have, for its merges.
    static let maximumArrayCount = 1 << 22
    static let maximumDimensionCount = 4
    /// More than any real header has; vocabularies take about 10 MB.
    static let maximumByteCount = 256 << 20

    init(_ file: RandomAccessFile) throws {
        var cursor = GGUFCursor(file, limit: Self.maximumByteCount)
        guard try cursor.bytes(4, "magic").elementsEqual("GGUF".utf8) else {
            throw cursor.malformed("start of the file", "does not begin with GGUF")
        }
        let version = try cursor.uint32("version")
        guard version == 2 || version == 3 else {
            if version.byteSwapped == 2 || version.byteSwapped == 3 {
                throw ModelFormatError.unsupported(
                    path: file.path, what: "a big-endian GGUF file", remedy: "convert it to little-endian first")
            }
            throw ModelFormatError.unsupported(
                path: file.path, what: "GGUF version \(version)", remedy: "make the file again with a current llama.cpp"
            )
        }
        // A tensor takes at least a length, one dimension, a type and an offset; a key-value a length and a type.
        let tensorCount = try cursor.count("tensor count", leastBytesEach: 32)
        let valueCount = try cursor.count("key-value count", leastBytesEach: 13)
        for index in 0..<valueCount {
            let key = try cursor.string("key \(index)", maximumByteCount: Self.maximumKeyByteCount)
            let place = "key \(quoted(key))"
            let value = try Self.value(&cursor, place)
            guard values.updateValue(value, forKey: key) == nil else {
                throw cursor.malformed(place, "occurs twice")
            }
        }
        let alignment = try alignment(cursor)
        var unplaced: [(info: GGUFTensorInfo, offset: UInt64)] = []
        for index in 0..<tensorCount { unplaced.append(try Self.tensor(&cursor, index)) }
        let dataStart = (cursor.position + alignment - 1) / alignment * alignment
        try place(unplaced, dataStart: dataStart, alignment: alignment, file)
    }

    private func alignment(_ cursor: GGUFCursor) throws -> Int {
        switch values["general.alignment"] {
        case nil: return 32
        case .integer(let value) where value > 0 && value <= 1 << 20 && value & (value - 1) == 0: return value
        default: throw cursor.malformed("key \"general.alignment\"", "is not a power of two up to 1048576")
        }
    }

    private static func value(_ cursor: inout GGUFCursor, _ place: String) throws -> GGUFValue {
        let type = try cursor.uint32(place)
        guard type == 9 else { return try scalar(&cursor, type, place) }
        let elementType = try cursor.uint32(place)
        guard elementType != 9 else { throw cursor.malformed(place, "is an array of arrays") }
        guard let least = leastByteCount(elementType) else {
            throw cursor.malformed(place, "has unknown element type \(elementType)")
        }
        let count = try cursor.count(place, leastBytesEach: least)
        guard count <= maximumArrayCount else {
            throw cursor.malformed(place, "\(count) elements are more than the \(maximumArrayCount) allowed")
        }
        switch elementType {
        case 6, 12:
            var elements: [Double] = []
            elements.reserveCapacity(count)
            for _ in 0..<count {
                switch try scalar(&cursor, elementType, place) {
                case .float32(let value): elements.append(Double(value))
                case .float64(let value): elements.append(value)
                default: break
                }
            }
            return .floats(elements)
        case 7:
            var elements: [Bool] = []
            elements.reserveCapacity(count)
            for _ in 0..<count {
                if case .bool(let value) = try scalar(&cursor, elementType, place) { elements.append(value) }
            }
            return .bools(elements)
        case 8:
            var elements: [String] = []
            elements.reserveCapacity(count)
            for _ in 0..<count { elements.append(try cursor.string(place)) }
            return .strings(elements)
        default:
            var elements: [Int] = []
            elements.reserveCapacity(count)
            for _ in 0..<count {
                if case .integer(let value) = try scalar(&cursor, elementType, place) { elements.append(value) }
            }
            return .integers(elements)
        }
    }

    /// The minimum size of an element of a type; nil for an unknown type.
    private static func leastByteCount(_ type: UInt32) -> Int? {
        switch type {
        case 0, 1, 7: 1
        case 2, 3: 2
        case 4, 5, 6: 4
        case 8, 10, 11, 12: 8
        default: nil
        }
    }

    private static func scalar(_ cursor: inout GGUFCursor, _ type: UInt32, _ place: String) throws -> GGUFValue {
        switch type {
        case 0: return .integer(Int(try cursor.integer(place, as: UInt8.self)))
        case 1: return .integer(Int(try cursor.integer(place, as: Int8.self)))
        case 2: return .integer(Int(try cursor.integer(place, as: UInt16.self)))
        case 3: return .integer(Int(try cursor.integer(place, as: Int16.self)))
        case 4: return .integer(Int(try cursor.integer(place, as: UInt32.self)))
        case 5: return .integer(Int(try cursor.integer(place, as: Int32.self)))
        case 6: return .float32(Float(bitPattern: try cursor.integer(place, as: UInt32.self)))
        case 7:
            let byte = try cursor.integer(place, as: UInt8.self)
            guard byte <= 1 else { throw cursor.malformed(place, "is a boolean with the value \(byte)") }
            return .bool(byte == 1)
        case 8: return .string(try cursor.string(place))
        case 10:
            let value = try cursor.integer(place, as: UInt64.self)
            guard let value = Int(exactly: value) else { throw cursor.malformed(place, "\(value) is out of range") }
            return .integer(value)
        case 11: return .integer(Int(try cursor.integer(place, as: Int64.self)))
        case 12: return .float64(Double(bitPattern: try cursor.integer(place, as: UInt64.self)))
        default: throw cursor.malformed(place, "has unknown type \(type)")
        }
    }

    /// Reads an entry of the tensor list; its offset is relative to the start of the data.
    private static func tensor(
        _ cursor: inout GGUFCursor, _ index: Int
    ) throws -> (info: GGUFTensorInfo, offset: UInt64) {
        let name = try cursor.string("tensor \(index)", maximumByteCount: 1024)
        guard !name.isEmpty else { throw cursor.malformed("tensor \(index)", "has an empty name") }
        let place = "tensor \(quoted(name))"
        let dimensionCount = try cursor.uint32(place)
        guard dimensionCount >= 1, dimensionCount <= maximumDimensionCount else {
            throw cursor.malformed(
                place, "has \(dimensionCount) dimensions; 1 to \(maximumDimensionCount) are allowed")
        }
        var shape: [Int] = []
        var elementCount = 1
        for _ in 0..<dimensionCount {
            let extent = try cursor.integer(place, as: UInt64.self)
            guard extent > 0, let extent = Int(exactly: extent) else {
                throw cursor.malformed(place, "has a dimension of \(extent)")
            }
            let (product, overflow) = elementCount.multipliedReportingOverflow(by: extent)
            // Four bytes per element must fit too.
            guard !overflow, product <= Int.max / 8 else { throw cursor.malformed(place, "the shape is too large") }
            elementCount = product
            shape.insert(extent, at: 0)
        }
        let typeNumber = try cursor.uint32(place)
        guard let type = GGUFTensorType(rawValue: typeNumber) else {
            if let name = GGUFTensorType.otherNames[typeNumber] {
                throw ModelFormatError.unsupported(
                    path: cursor.path, what: "\(place): type \(name)",
                    remedy: "use a file of the same model with another type, such as BF16, Q8_0 or Q4_K")
            }
            throw cursor.malformed(place, "has unknown type \(typeNumber)")
        }
        let columns = shape[shape.count - 1]
        guard columns % type.blockElementCount == 0 else {
            throw cursor.malformed(
                place, "rows of \(columns) are not a multiple of \(type.name)'s \(type.blockElementCount)")
        }
        let offset = try cursor.integer(place, as: UInt64.self)
        let byteCount = elementCount / type.blockElementCount * type.blockByteCount
        return (GGUFTensorInfo(name: name, shape: shape, type: type, offset: 0, byteCount: byteCount), offset)
    }

    /// Converts offsets to file offsets; refuses tensors that overlap or are outside the file.
    private mutating func place(
        _ unplaced: [(info: GGUFTensorInfo, offset: UInt64)], dataStart: Int, alignment: Int, _ file: RandomAccessFile
    ) throws {
        var names: Set<String> = []
        for (info, offset) in unplaced {
            let place = "tensor \(quoted(info.name))"
            guard names.insert(info.name).inserted else {
                throw ModelFormatError.malformed(path: file.path, place: place, reason: "occurs twice")
            }
            guard offset % UInt64(alignment) == 0 else {
                throw ModelFormatError.malformed(
                    path: file.path, place: place, reason: "offset \(offset) is not a multiple of \(alignment)")
            }
            let available = max(0, file.byteCount - dataStart)
            guard let offset = Int(exactly: offset), info.byteCount <= available, offset <= available - info.byteCount
            else {
                throw ModelFormatError.truncated(
                    path: file.path, place: place, needed: info.byteCount,
                    available: offset >= UInt64(available) ? 0 : available - Int(offset))
            }
            var info = info
            info.offset = dataStart + offset
            tensors.append(info)
        }
        let byOffset = tensors.sorted { $0.offset < $1.offset }
        for (left, right) in zip(byOffset, byOffset.dropFirst()) where left.offset + left.byteCount > right.offset {
            throw ModelFormatError.malformed(
                path: file.path, place: "tensor \(quoted(right.name))", reason: "overlaps tensor \(quoted(left.name))")
        }
    }
}
