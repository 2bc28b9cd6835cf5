/// Reads attribute messages.
enum HDF5Attributes {
    /// Reads an attribute message.
    static func parse(_ body: ArraySlice<UInt8>, _ source: HDF5Source) throws -> (name: String, value: HDF5Value) {
        var cursor = HDF5Cursor(body)
        let version = try cursor.uint8()
        guard version == 1 || version == 3 else {
            throw HDF5Problem.unsupported("an attribute of version \(version)")
        }
        // In version 3, flags that say whether type or shape are stored elsewhere.
        try cursor.zeros(1)
        let nameSize = try cursor.uint16()
        let typeSize = try cursor.uint16()
        let spaceSize = try cursor.uint16()
        if version == 3 {
            guard try cursor.uint8() <= 1 else {
                throw HDF5Problem.damaged("an attribute's name has an unknown character encoding")
            }
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
            try typeCursor.end(of: "a datatype")
            var spaceCursor = HDF5Cursor(try part(spaceSize))
            let shape = try HDF5Dataspace.parse(&spaceCursor)
            guard let byteCount = checkedByteCount(shape ?? [], type.byteCount), byteCount <= cursor.remaining else {
                throw HDF5Problem.damaged("its value is longer than its message")
            }
            let value = try HDF5Value(type, shape, Array(try cursor.bytes(byteCount)))
            try cursor.end(of: "the message")
            return (name, value)
        } catch let problem as HDF5Problem {
            throw problem.prefixed("attribute \(name)")
        }
    }
}

extension HDF5Value {
    /// Makes a value from its stored bytes; texts that end with a terminator are padded with NULs instead.
    init(_ type: HDF5Datatype, _ shape: [Int]?, _ bytes: [UInt8]) throws {
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
