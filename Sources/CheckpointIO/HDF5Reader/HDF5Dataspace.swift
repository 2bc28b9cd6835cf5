/// Reads dataspace messages.
enum HDF5Dataspace {
    /// The dimensions in a dataspace message; nil for a scalar.
    static func parse(_ cursor: inout HDF5Cursor) throws -> [Int]? {
        let version = try cursor.uint8()
        let rank = try cursor.uint8()
        let flags = try cursor.uint8()
        guard rank <= 32 else { throw HDF5Problem.damaged("a dataspace has \(rank) dimensions") }
        switch version {
        case 1: try cursor.zeros(5)
        case 2:
            guard try cursor.uint8() == (rank == 0 ? 0 : 1) else {
                throw HDF5Problem.unsupported("a dataspace without elements")
            }
        default: throw HDF5Problem.unsupported("a dataspace of version \(version)")
        }
        guard flags & ~1 == 0, flags == 0 || rank > 0 else {
            throw HDF5Problem.unsupported("a dataspace with flags \(flags)")
        }
        var shape: [Int] = []
        for _ in 0..<rank { shape.append(try cursor.length()) }
        if flags & 1 != 0 {
            for dimension in shape {
                let maximum = try cursor.integer(UInt64.self)
                guard maximum == UInt64(dimension) || maximum == UInt64.max else {
                    throw HDF5Problem.damaged("a dataspace has a maximum of \(maximum) for a dimension of \(dimension)")
                }
            }
        }
        try cursor.end(of: "a dataspace")
        return rank == 0 ? nil : shape
    }
}
