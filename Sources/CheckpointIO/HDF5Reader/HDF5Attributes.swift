/// Reads attribute messages.
enum HDF5Attributes {
    /// The name and value of an attribute.
    static func parse(_ body: ArraySlice<UInt8>, _ source: HDF5Source) throws -> (name: String, value: HDF5Value) {
        var cursor = HDF5Cursor(body)
        let version = try cursor.uint8()
        guard version == 1 || version == 3 else {
            throw HDF5Problem.unsupported("an attribute of version \(version)")
        }
        // In version 3: whether type or shape are stored elsewhere.
        try cursor.zeros(1)
        let nameSize = try cursor.uint16()
        let typeSize = try cursor.uint16()
        let spaceSize = try cursor.uint16()
        if version == 3 {
            guard try cursor.uint8() <= 1 else { throw HDF5Problem.damaged("an attribute's name is in no known code") }
        }
        // Version 1 pads each part to eight bytes.
        func part(_ size: Int) throws -> ArraySlice<UInt8> {
            let field = try cursor.bytes(size)
            if version == 1 { try cursor.skip(-size & 7) }
            return field
        }
        let nameField = try part(nameSize)
        guard nameField.last == 0, let name = String(validating: nameField.dropLast(), as: UTF8.self), !name.isEmpty,
            nameField.dropLast().allSatisfy({ $0 >= 0x20 })
        else { throw HDF5Problem.damaged("an attribute's name is not one that a checkpoint uses") }
        do {
            var typeCursor = HDF5Cursor(try part(typeSize))
            let type = try HDF5Datatype.parse(&typeCursor)
            var spaceCursor = HDF5Cursor(try part(spaceSize))
            let shape = try HDF5Datatype.dataspace(&spaceCursor)
            let elementSize = HDF5Value.storedByteCount(of: type)
            guard let byteCount = checkedByteCount(shape ?? [], elementSize), byteCount <= cursor.remaining else {
                throw HDF5Problem.damaged("its value is longer than its message")
            }
            return (name, try HDF5Value(type, shape, Array(try cursor.bytes(byteCount))))
        } catch let problem as HDF5Problem {
            throw HDF5Problem(kind: problem.kind, text: "attribute \(name): \(problem.text)")
        }
    }
}

/// The bytes of `shape`, or nil where the product does not fit `Int`.
func checkedByteCount(_ shape: [Int], _ elementSize: Int) -> Int? {
    if shape.contains(0) { return 0 }
    var count = elementSize
    for dimension in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
        if overflow { return nil }
        count = product
    }
    return count
}

extension HDF5Value {
    /// Bytes that one element takes in the file.
    static func storedByteCount(of type: HDF5Datatype.Parsed) -> Int {
        switch type {
        case .element(let type): type.byteCount
        case .text(let byteCount, _): byteCount
        }
    }

    /// A value from its stored bytes, the marks at the end of texts brought into one form.
    init(_ type: HDF5Datatype.Parsed, _ shape: [Int]?, _ bytes: [UInt8]) throws {
        switch type {
        case .element(.bool):
            guard bytes.allSatisfy({ $0 <= 1 }) else { throw HDF5Problem.damaged("a boolean is neither 0 nor 1") }
            self.init(type: .element(.bool), shape: shape, bytes: bytes)
        case .element(let type):
            self.init(type: .element(type), shape: shape, bytes: bytes)
        case .text(let width, let padding):
            var bytes = bytes
            if padding == .terminator {
                for start in stride(from: 0, to: bytes.count, by: width) {
                    guard let end = bytes[start..<start + width].firstIndex(of: 0) else { continue }
                    for index in end..<start + width { bytes[index] = 0 }
                }
            }
            self.init(type: .text(byteCount: width), shape: shape, bytes: bytes)
            guard texts != nil else { throw HDF5Problem.damaged("a text is not UTF-8") }
        }
    }
}
