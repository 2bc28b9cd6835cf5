/// Checks the messages with a dataset's fill value.
///
/// All elements of a checkpoint are stored, so the value has no meaning, but other readers refuse a wrong message.
enum HDF5FillValue {
    static func check(_ header: HDF5ObjectHeader, elementSize: Int) throws {
        if var message = try header.only(.fillValue) {
            try check(&message, elementSize)
            try message.end(of: "the fill value")
        }
        if var message = try header.only(.oldFillValue) {
            try checkValue(&message, elementSize)
            try message.end(of: "the fill value")
        }
    }

    private static func check(_ message: inout HDF5Cursor, _ elementSize: Int) throws {
        let version = try message.uint8()
        switch version {
        case 1, 2:
            let allocation = try message.uint8()
            let writing = try message.uint8()
            let isDefined = try message.uint8()
            try check(allocation: allocation, writing: writing)
            guard isDefined <= 1 else { throw HDF5Problem.damaged("the fill value is neither defined nor undefined") }
            if version == 1 || isDefined == 1 { try checkValue(&message, elementSize) }
        case 3:
            let flags = try message.uint8()
            try check(allocation: flags & 3, writing: flags >> 2 & 3)
            // Bit 4: undefined; bit 5: a value follows.
            guard flags >> 4 <= 2 else { throw HDF5Problem.damaged("the fill value has flags \(flags)") }
            if flags >> 4 == 2 { try checkValue(&message, elementSize) }
        default: throw HDF5Problem.damaged("the fill value has version \(version)")
        }
    }

    /// Checks when space is allocated (early, late, incrementally) and when it is filled (on allocation, never, if
    /// set).
    private static func check(allocation: Int, writing: Int) throws {
        guard (1...3).contains(allocation), writing <= 2 else {
            throw HDF5Problem.damaged("the fill value has an unknown time of allocation or writing")
        }
    }

    /// Checks a size, and skips as many bytes: none for the default value.
    private static func checkValue(_ message: inout HDF5Cursor, _ elementSize: Int) throws {
        let size = try message.uint32()
        guard size == 0 || size == elementSize && size <= message.remaining else {
            throw HDF5Problem.damaged("the fill value has \(size) bytes, an element has \(elementSize)")
        }
        try message.skip(size)
    }
}
