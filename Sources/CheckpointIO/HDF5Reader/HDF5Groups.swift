import OrderedJSON

/// Reads the members of a group: a version 1 B-tree of symbol table nodes, and a local heap with the names.
enum HDF5Groups {
    private static let maximumHeapBytes = 32 << 20
    private static let treeNodeBytes = HDF5Format.treeNodeSize(k: HDF5Format.groupTreeK, keySize: 8)
    private static let symbolNodeBytes = 8 + 2 * HDF5Format.symbolNodeK * HDF5Format.symbolEntrySize

    /// The names and object header addresses of a group's members, strictly ascending by name.
    static func entries(
        _ header: HDF5ObjectHeader, _ source: HDF5Source, limit: Int
    ) throws -> [(name: String, address: UInt64)] {
        guard var message = try header.only(.symbolTable) else { throw HDF5Problem.damaged("no symbol table") }
        guard try header.only(.layout) == nil, try header.only(.datatype) == nil else {
            throw HDF5Problem.damaged("an object is both group and dataset")
        }
        guard let tree = try message.address(), let heap = try message.address() else {
            throw HDF5Problem.damaged("a group has no symbol table")
        }
        var reader = Reader(source: source, heap: try readHeap(source, at: heap), limit: limit)
        try reader.treeNode(at: tree, level: nil)
        for (first, second) in zip(reader.entries, reader.entries.dropFirst()) {
            guard first.name.utf8.lexicographicallyPrecedes(second.name.utf8) else {
                throw HDF5Problem.damaged("the members \(first.name) and \(second.name) are out of order")
            }
        }
        return reader.entries
    }

    private static func readHeap(_ source: HDF5Source, at address: UInt64) throws -> [UInt8] {
        var cursor = HDF5Cursor(try source.claim(address, 32, "a local heap"))
        try cursor.signature("HEAP", of: "a local heap")
        try cursor.version(0, of: "a local heap")
        try cursor.zeros(3)
        let byteCount = try cursor.length()
        try cursor.skip(8)
        guard let data = try cursor.address() else { throw HDF5Problem.damaged("a local heap has no data") }
        guard byteCount <= maximumHeapBytes else { throw HDF5Problem.unsupported("a group with very many names") }
        return try source.claim(data, byteCount, "the names of a group")
    }

    private struct Reader {
        let source: HDF5Source
        let heap: [UInt8]
        let limit: Int
        var entries: [(name: String, address: UInt64)] = []

        mutating func treeNode(at address: UInt64, level expected: Int?) throws {
            var cursor = HDF5Cursor(try source.claim(address, treeNodeBytes, "a group's B-tree node"))
            let (level, count) = try cursor.treeNode(
                type: 0, k: HDF5Format.groupTreeK, level: expected, of: "a group's B-tree node")
            for _ in 0..<count {
                try cursor.skip(8)
                guard let child = try cursor.address() else {
                    throw HDF5Problem.damaged("a group's B-tree node lacks a child")
                }
                if level > 0 {
                    try treeNode(at: child, level: level - 1)
                } else {
                    try symbolNode(at: child)
                }
            }
        }

        private mutating func symbolNode(at address: UInt64) throws {
            var cursor = HDF5Cursor(try source.claim(address, symbolNodeBytes, "a symbol table node"))
            try cursor.signature("SNOD", of: "a symbol table node")
            try cursor.version(1, of: "a symbol table node")
            try cursor.zeros(1)
            let count = try cursor.uint16()
            guard count <= 2 * HDF5Format.symbolNodeK else {
                throw HDF5Problem.damaged("a symbol table node has \(count) entries")
            }
            guard entries.count + count <= limit else { throw HDF5Problem.unsupported("a group with too many members") }
            for _ in 0..<count {
                let name = try name(at: try cursor.length())
                let address = try cursor.address()
                let cacheType = try cursor.uint32()
                try cursor.zeros(4)
                try cursor.skip(16)
                guard cacheType <= 1, let address else {
                    throw HDF5Problem.unsupported("the member \(name) is a soft link; only hard links are read")
                }
                entries.append((name, address))
            }
        }

        private func name(at offset: Int) throws -> String {
            guard offset < heap.count, let end = heap[offset...].firstIndex(of: 0) else {
                throw HDF5Problem.damaged("a member's name lies outside the heap")
            }
            let bytes = heap[offset..<end]
            guard let name = String(validating: bytes, as: UTF8.self),
                CheckpointLayout.problem(withMemberName: name) == nil
            else { throw HDF5Problem.damaged("a member's name is not one that a checkpoint uses") }
            return name
        }
    }
}
