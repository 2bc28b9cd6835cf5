import OrderedJSON

/// A safetensors file, checked more strictly than by the reference implementation.
///
/// The file consists of eight bytes with the length of a JSON header, the header, and the tensors. Like the reference,
/// this refuses gaps, overlaps, trailing bytes and shapes that do not match their bytes; in addition it refuses
/// duplicate names, anything before the header's `{`, unknown fields, and empty names.
final class SafetensorsFile: TensorSource {
    /// The reference implementation's limit.
    static let maximumHeaderByteCount = 100_000_000

    let path: String
    let tensors: [TensorDescription]
    private let file: RandomAccessFile
    /// Each tensor's index in `tensors`, offset in the file, and type if that is FP8.
    private let places: [String: (index: Int, offset: Int, float8: Float8Type?)]

    convenience init(path: String) throws { try self.init(RandomAccessFile(path: path)) }

    init(_ file: RandomAccessFile) throws {
        self.file = file
        path = file.path
        let header = try SafetensorsHeader(file)
        var places: [String: (index: Int, offset: Int, float8: Float8Type?)] = [:]
        places.reserveCapacity(header.tensors.count)
        for (index, tensor) in header.tensors.enumerated() {
            let place = (index, header.byteCount + tensor.offset, tensor.float8)
            guard places.updateValue(place, forKey: tensor.description.name) == nil else {
                throw ModelFormatError.malformed(
                    path: path, place: "header", reason: "duplicate tensor name \(quoted(tensor.description.name))")
            }
        }
        tensors = header.tensors.map(\.description)
        self.places = places
    }

    /// The tensor of this name.
    func tensor(_ name: String) -> TensorDescription? { places[name].map { tensors[$0.index] } }

    func quantization(of name: String) -> TensorQuantization? {
        guard let (index, _, float8) = places[name], let float8 else { return nil }
        let tensor = tensors[index]
        return TensorQuantization(
            name: float8.rawValue, blockElementCount: max(1, tensor.shape.last ?? 1),
            storedByteCount: tensor.elementCount)
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let (index, offset, float8) = places[name] else {
            throw ModelFormatError.missing(path: path, what: "tensor \(quoted(name))", remedy: "see its header")
        }
        guard range.lowerBound >= 0, range.upperBound <= tensors[index].byteCount, range.count == destination.count
        else {
            throw ModelFormatError.malformed(
                path: path, place: "tensor \(quoted(name))", reason: "bytes \(range) are outside the tensor")
        }
        let place = "tensor \(quoted(name))"
        guard let float8 else { return try file.read(at: offset + range.lowerBound, into: destination, place: place) }
        try ElementType.float32.fill(range, into: destination) { elements, values in
            try withUnsafeTemporaryAllocation(byteCount: elements.count, alignment: 16) { stored in
                try file.read(at: offset + elements.lowerBound, into: stored, place: place)
                float8.decode(UnsafeRawBufferPointer(stored), into: values)
            }
        }
    }
}

/// The checked header of a safetensors file.
struct SafetensorsHeader {
    struct Tensor {
        /// FP8 tensors are described as the float32 values that they are read as.
        var description: TensorDescription
        /// Offset from the start of the data.
        var offset: Int
        /// Stored bytes.
        var byteCount: Int
        /// The type of an FP8 tensor.
        var float8: Float8Type?
    }

    /// The tensors in the order of their data.
    private(set) var tensors: [Tensor] = []
    /// The size of the header with its length, which is the offset of the data.
    let byteCount: Int

    init(_ file: RandomAccessFile) throws {
        let path = file.path
        func malformed(_ place: String, _ reason: String) -> ModelFormatError {
            .malformed(path: path, place: place, reason: reason)
        }
        let length = try file.bytes(at: 0, count: 8, place: "header length")
            .withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length <= SafetensorsFile.maximumHeaderByteCount else {
            throw malformed(
                "header length", "\(length) bytes are more than the \(SafetensorsFile.maximumHeaderByteCount) allowed")
        }
        let headerCount = Int(length)
        byteCount = 8 + headerCount
        let bytes = try file.bytes(at: 8, count: headerCount, place: "header")
        guard bytes.first == UInt8(ascii: "{") else { throw malformed("header", "does not start with '{'") }
        try Self.checkSize(bytes, malformed)
        let header: JSON
        do {
            header = try JSON.parse(bytes, maximumDepth: 4)
        } catch {
            throw malformed("header", error.description)
        }

        for (name, entry) in header.object ?? JSONObject() {
            if name == "__metadata__" {
                try Self.checkMetadata(entry, malformed)
            } else {
                tensors.append(try Self.tensor(name, entry, path: path, malformed))
            }
        }
        tensors.sort { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }
        var end = 0
        var previous = "the start of the data"
        for tensor in tensors {
            let place = "tensor \(quoted(tensor.description.name))"
            guard tensor.offset >= end else { throw malformed(place, "overlaps \(previous)") }
            guard tensor.offset == end else {
                let gap = tensor.offset - end
                throw malformed(
                    place, "\(gap) unused \(gap == 1 ? "byte lies" : "bytes lie") between \(previous) and this tensor")
            }
            end += tensor.byteCount
            previous = place
        }
        let available = file.byteCount - byteCount
        guard end <= available else {
            throw ModelFormatError.truncated(path: path, place: previous, needed: end, available: available)
        }
        guard end == available else {
            let rest = available - end
            throw malformed("end of the data", "\(rest) \(rest == 1 ? "byte follows" : "bytes follow") the last tensor")
        }
    }

    /// Bounds the memory for parsing: a parsed value takes much more memory than its text, so a header of only brackets
    /// and commas could take a hundred times its size.
    private static func checkSize(_ bytes: [UInt8], _ malformed: (String, String) -> ModelFormatError) throws {
        var openings = 0
        var separators = 0
        for byte in bytes {
            openings += byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") ? 1 : 0
            separators += byte == UInt8(ascii: ",") ? 1 : 0
        }
        guard openings <= 3 * maximumTensorCount, separators <= 8 * maximumTensorCount else {
            throw malformed("header", "lists more than \(maximumTensorCount) tensors")
        }
    }

    /// Ten times as many as the largest models have.
    static let maximumTensorCount = 500_000

    /// Checks that `__metadata__` contains strings only; it is not used.
    private static func checkMetadata(_ entry: JSON, _ malformed: (String, String) -> ModelFormatError) throws {
        guard let members = entry.object else { throw malformed("__metadata__", "is \(entry.kindName), not an object") }
        for (key, value) in members where value.string == nil {
            throw malformed("__metadata__ \(quoted(key))", "is \(value.kindName), not a string")
        }
    }

    private static func tensor(
        _ name: String, _ entry: JSON, path: String, _ malformed: (String, String) -> ModelFormatError
    ) throws -> Tensor {
        let place = "tensor \(quoted(name))"
        guard !name.isEmpty else { throw malformed("header", "a tensor has an empty name") }
        guard let members = entry.object else { throw malformed(place, "is \(entry.kindName), not an object") }
        for key in members.keys where key != "dtype" && key != "shape" && key != "data_offsets" {
            throw malformed(place, "unknown field \(quoted(key))")
        }
        guard let typeName = members["dtype"]?.string else { throw malformed(place, "no dtype") }
        let float8 = Float8Type(rawValue: typeName)
        guard let type = float8 == nil ? ElementType(safetensors: typeName) : .float32 else {
            guard SafetensorsHeader.knownTypes.contains(typeName) else {
                throw malformed(place, "unknown dtype \(quoted(typeName))")
            }
            throw ModelFormatError.unsupported(
                path: path, what: "\(place): dtype \(typeName)",
                remedy: "convert the model to bfloat16, float16 or float32 first")
        }
        guard let shapeJSON = members["shape"]?.array else { throw malformed(place, "no shape") }
        guard shapeJSON.count <= 32 else { throw malformed(place, "more than 32 dimensions") }
        var byteCount = float8 == nil ? type.byteCount : 1
        var shape: [Int] = []
        for element in shapeJSON {
            guard let extent = element.int, extent >= 0 else {
                throw malformed(place, "the shape has something other than non-negative integers")
            }
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw malformed(place, "the shape is too large") }
            byteCount = product
            shape.append(extent)
        }
        guard let offsets = members["data_offsets"]?.array, offsets.count == 2,
            let begin = offsets[0].int, let end = offsets[1].int, begin >= 0, end >= begin
        else { throw malformed(place, "data_offsets are not [begin, end]") }
        guard end - begin == byteCount else {
            throw malformed(
                place, "\(end - begin) bytes do not hold \(typeName) of shape \(shape), which takes \(byteCount)")
        }
        // Four bytes per element must fit too.
        guard byteCount <= Int.max / 8 else { throw malformed(place, "the shape is too large") }
        return Tensor(
            description: TensorDescription(name: name, elementType: type, shape: shape), offset: begin,
            byteCount: byteCount, float8: float8)
    }

    /// Types of the format that are not supported.
    private static let knownTypes: Set<String> = [
        "F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64",
    ]
}

extension ElementType {
    /// The type with this name in a safetensors header; nil for unsupported types.
    init?(safetensors name: String) {
        guard let type = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
        self = type
    }

    /// The type's name in a safetensors header.
    var safetensorsName: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .float64: "F64"
        case .int8: "I8"
        case .int16: "I16"
        case .int32: "I32"
        case .int64: "I64"
        case .uint8: "U8"
        case .uint16: "U16"
        case .uint32: "U32"
        case .uint64: "U64"
        case .bool: "BOOL"
        }
    }
}
