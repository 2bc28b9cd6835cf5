/// Builds the header of a GGUF file, version 3.
struct GGUFHeaderWriter {
    private var values: [UInt8] = []
    private var valueCount = 0

    private mutating func key(_ key: String, type: UInt32) {
        valueCount += 1
        Self.append(key, to: &values)
        Self.append(type, to: &values)
    }

    mutating func add(_ key: String, _ value: Int) throws {
        // llama.cpp expects sizes and ids of 32 bits.
        guard let value = UInt32(exactly: value) else {
            throw ModelFormatError.malformed(
                path: "GGUF", place: "key \(quoted(key))", reason: "\(value) does not fit 32 bits")
        }
        self.key(key, type: 4)
        Self.append(value, to: &values)
    }

    mutating func add(_ key: String, _ value: Double) {
        self.key(key, type: 6)
        Self.append(Float(value).bitPattern, to: &values)
    }

    mutating func add(_ key: String, _ value: Bool) {
        self.key(key, type: 7)
        values.append(value ? 1 : 0)
    }

    mutating func add(_ key: String, _ value: String) {
        self.key(key, type: 8)
        Self.append(value, to: &values)
    }

    mutating func add(_ key: String, _ list: [String]) {
        self.key(key, type: 9)
        Self.append(UInt32(8), to: &values)
        Self.append(UInt64(list.count), to: &values)
        for text in list { Self.append(text, to: &values) }
    }

    mutating func add(_ key: String, _ list: [Int32]) {
        self.key(key, type: 9)
        Self.append(UInt32(5), to: &values)
        Self.append(UInt64(list.count), to: &values)
        for number in list { Self.append(number, to: &values) }
    }

    mutating func add(_ key: String, _ list: [Float]) {
        self.key(key, type: 9)
        Self.append(UInt32(6), to: &values)
        Self.append(UInt64(list.count), to: &values)
        for number in list { Self.append(number.bitPattern, to: &values) }
    }

    mutating func add(_ key: String, _ list: [Int8]) {
        self.key(key, type: 9)
        Self.append(UInt32(1), to: &values)
        Self.append(UInt64(list.count), to: &values)
        for number in list { Self.append(number, to: &values) }
    }

    /// The header's bytes, padded up to the data; the tensors' offsets are relative to the data.
    func bytes(_ tensors: [GGUFTensorInfo]) -> [UInt8] {
        var header = Array("GGUF".utf8)
        Self.append(UInt32(3), to: &header)
        Self.append(UInt64(tensors.count), to: &header)
        Self.append(UInt64(valueCount), to: &header)
        header += values
        for tensor in tensors {
            Self.append(tensor.name, to: &header)
            Self.append(UInt32(tensor.shape.count), to: &header)
            for extent in tensor.shape.reversed() { Self.append(UInt64(extent), to: &header) }
            Self.append(tensor.type.rawValue, to: &header)
            Self.append(UInt64(tensor.offset), to: &header)
        }
        header += [UInt8](repeating: 0, count: Self.aligned(header.count) - header.count)
        return header
    }

    /// The next multiple of the format's default alignment.
    static func aligned(_ offset: Int) -> Int { (offset + 31) / 32 * 32 }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }
}
