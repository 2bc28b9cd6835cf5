/// Makes the messages of object headers.
///
/// They are what libhdf5 writes with its earliest format bound ("HDF5 File Format Specification Version 3.0", section
/// IV.A.2): version 1 of datatypes and dataspaces, version 3 of layouts.
enum HDF5Messages {
    struct Message {
        var type: HDF5MessageType
        /// Whether the message never changes.
        var isConstant = false
        var body: HDF5Bytes
    }

    /// The messages of a dataset; `chunkIndex` is the address of its B-tree if it is chunked.
    static func dataset(_ dataset: HDF5Dataset, chunkIndex: UInt64?) -> [Message] {
        var messages = [
            Message(type: .dataspace, body: dataspace(dataset.shape)),
            Message(type: .datatype, isConstant: true, body: datatype(dataset.type)),
        ]
        var fill = HDF5Bytes()
        var layout = HDF5Bytes()
        layout.append(UInt8(3))
        switch dataset.storage {
        case .contiguous(let address, let byteCount):
            // Late allocation; fill value never written; default fill value.
            fill.append([2, 2, 1, 1, 0, 0, 0, 0])
            layout.append(UInt8(1))
            layout.append(address: address)
            layout.append(UInt64(byteCount))
        case .chunked(let grid, let filters, _):
            // Incremental allocation; fill value as above.
            fill.append([2, 3, 1, 1, 0, 0, 0, 0])
            // libhdf5 refuses an empty pipeline.
            if !filters.isEmpty {
                messages.append(Message(type: .filterPipeline, isConstant: true, body: pipeline(filters)))
            }
            layout.append(UInt8(2))
            layout.append(UInt8(grid.chunkShape.count + 1))
            layout.append(address: chunkIndex)
            for dimension in grid.chunkShape { layout.append(UInt32(dimension)) }
            layout.append(UInt32(grid.elementSize))
        }
        messages.append(Message(type: .fillValue, isConstant: true, body: fill))
        messages.append(Message(type: .layout, body: layout))
        return messages + attributes(dataset.attributes)
    }

    /// The messages of a group.
    static func group(
        tree: UInt64, heap: UInt64, attributes: [(name: String, value: HDF5Value)]
    ) -> [Message] {
        var table = HDF5Bytes()
        table.append(tree)
        table.append(heap)
        return [Message(type: .symbolTable, body: table)] + Self.attributes(attributes)
    }

    private static func attributes(_ attributes: [(name: String, value: HDF5Value)]) -> [Message] {
        attributes.map { Message(type: .attribute, body: attribute($0, $1)) }
    }

    /// An attribute whose name and value fit in a message of 64 KiB, as `RecordWriter` checks.
    private static func attribute(_ name: String, _ value: HDF5Value) -> HDF5Bytes {
        let type = datatype(HDF5Datatype(value.type))
        let space = dataspace(value.shape)
        var body = HDF5Bytes()
        // Version and a reserved byte, then the sizes of the three parts without padding.
        body.append([1, 0])
        body.append(UInt16(name.utf8.count + 1))
        body.append(UInt16(type.count))
        body.append(UInt16(space.count))
        body.append(padded: name)
        body.append(type.bytes)
        body.pad()
        body.append(space.bytes)
        body.append(value.bytes)
        return body
    }

    /// The dataspace of a shape; nil for a scalar.
    private static func dataspace(_ shape: [Int]?) -> HDF5Bytes {
        let shape = shape ?? []
        var body = HDF5Bytes()
        // Flag 0: the maximum dimensions follow the current ones, to which they are equal.
        body.append([1, UInt8(shape.count), shape.isEmpty ? 0 : 1, 0, 0, 0, 0, 0])
        for dimension in shape + shape { body.append(UInt64(dimension)) }
        return body
    }

    private static func datatype(_ type: HDF5Datatype) -> HDF5Bytes {
        var body = HDF5Bytes()
        // Class and version, 24 bits of flags that depend on the class, and the size of an element.
        switch type {
        case .text(let byteCount, _):
            // UTF-8, padded with NULs.
            body.append([0x13, 0x11, 0, 0])
            body.append(UInt32(byteCount))
        case .element(.bool):
            body.append([0x18, 2, 0, 0])
            body.append(UInt32(1))
            body.append(datatype(.element(.int8)).bytes)
            for name in ["FALSE", "TRUE"] { body.append(padded: name) }
            body.append([0, 1])
        case .element(let element):
            if let float = floatFields(element) {
                let bitCount = 8 * element.byteCount
                // Little-endian with an implied leading mantissa bit; the position of the sign bit.
                body.append([0x11, 0x20, UInt8(bitCount - 1), 0])
                body.append(UInt32(element.byteCount))
                body.append(UInt16(0))
                body.append(UInt16(bitCount))
                body.append([float.mantissaBits, float.exponentBits, 0, float.mantissaBits])
                body.append(float.bias)
            } else {
                body.append([0x10, isSigned(element) ? 8 : 0, 0, 0])
                body.append(UInt32(element.byteCount))
                body.append(UInt16(0))
                body.append(UInt16(8 * element.byteCount))
            }
        }
        return body
    }

    private static func floatFields(
        _ type: ElementType
    ) -> (mantissaBits: UInt8, exponentBits: UInt8, bias: UInt32)? {
        switch type {
        case .float16: (10, 5, 15)
        case .bfloat16: (7, 8, 127)
        case .float32: (23, 8, 127)
        case .float64: (52, 11, 1023)
        default: nil
        }
    }

    private static func isSigned(_ type: ElementType) -> Bool {
        switch type {
        case .int8, .int16, .int32, .int64: true
        default: false
        }
    }

    /// A filter pipeline; all filters are mandatory.
    private static func pipeline(_ filters: [HDF5Filter]) -> HDF5Bytes {
        var body = HDF5Bytes()
        body.append([1, UInt8(filters.count), 0, 0, 0, 0, 0, 0])
        for filter in filters {
            let name = filter.identifier == CheckpointLayout.shuffleFilter ? "shuffle" : "zstd"
            body.append(UInt16(filter.identifier))
            body.append(UInt16(8))
            body.append(UInt16(0))
            body.append(UInt16(filter.parameters.count))
            body.append(padded: name)
            for parameter in filter.parameters { body.append(parameter) }
            if filter.parameters.count % 2 == 1 { body.append(UInt32(0)) }
        }
        return body
    }
}
