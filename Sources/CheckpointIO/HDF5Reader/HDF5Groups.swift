import OrderedJSON

/// Reads the members of a group: a version 1 B-tree of symbol table nodes, and a local heap with the names.
enum HDF5Groups {
    private static let maximumHeapBytes = 32 << 20
    private static let treeNodeBytes = HDF5Format.treeNodeSize(k: HDF5Format.groupTreeK, keySize: 8)
    private static let symbolNodeBytes = 8 + 2 * HDF5Format.symbolNodeK * HDF5Format.symbolEntrySize

    /// The addresses of a group's symbol table; nil for an object that is not a group.
    static func table(_ header: HDF5ObjectHeader) throws -> HDF5SymbolTable? {
        guard var message = try header.only(.symbolTable) else { return nil }
        let types: [HDF5MessageType] = [.symbolTable, .attribute, .modificationTime, .oldModificationTime]
        guard header.messages.allSatisfy({ types.contains($0.type) }) else {
            throw HDF5Problem.damaged("an object is both group and dataset")
        }
        let table = HDF5SymbolTable(tree: try message.address(), heap: try message.address())
        try message.end(of: "the symbol table message")
        return table
    }

    /// The members of a group, strictly ascending by name.
    static func entries(
        _ table: HDF5SymbolTable, _ source: HDF5Source, limit: Int
    ) throws -> [(name: String, object: HDF5SymbolEntry)] {
        guard let tree = table.tree, let heap = table.heap else {
            throw HDF5Problem.damaged("a group has no symbol table")
        }
        let (names, free) = try readHeap(source, at: heap)
        var reader = Reader(source: source, heap: names, used: free, limit: limit)
        try reader.treeNode(at: tree, level: nil)
        try reader.levels.finish("a group's B-tree node")
        let used = reader.used.sorted { $0.lowerBound < $1.lowerBound }
        for (first, second) in zip(used, used.dropFirst()) where first.upperBound > second.lowerBound {
            throw HDF5Problem.damaged("the names and the free space of a group overlap")
        }
        for (first, second) in zip(reader.entries, reader.entries.dropFirst()) {
            guard first.name.utf8.lexicographicallyPrecedes(second.name.utf8) else {
                throw HDF5Problem.damaged("the members \(first.name) and \(second.name) are out of order")
            }
        }
        return reader.entries
    }

    /// The bytes of a heap and its free blocks.
    private static func readHeap(
        _ source: HDF5Source, at address: UInt64
    ) throws -> (bytes: [UInt8], free: [Range<Int>]) {
        var cursor = HDF5Cursor(try source.claim(address, 32, "a local heap"))
        try cursor.signature("HEAP", of: "a local heap")
        try cursor.version(0, of: "a local heap")
        try cursor.zeros(3)
        let byteCount = try cursor.length()
        let firstFree = try cursor.integer(UInt64.self)
        guard let data = try cursor.address() else { throw HDF5Problem.damaged("a local heap has no data") }
        guard byteCount <= maximumHeapBytes else { throw HDF5Problem.unsupported("a group with very many names") }
        let bytes = try source.claim(data, byteCount, "the names of a group")
        return (bytes, try freeBlocks(of: bytes, first: firstFree))
    }

    /// The free blocks of a heap: each starts with the offset of the next one, which is 1 in the last, and its size.
    private static func freeBlocks(of heap: [UInt8], first: UInt64) throws -> [Range<Int>] {
        var blocks: [Range<Int>] = []
        var next = first
        while next != 1 {
            guard blocks.count < heap.count / 16, next % 8 == 0, next < UInt64(heap.count) else {
                throw HDF5Problem.damaged("the free space of a group's names is not in the heap")
            }
            let start = Int(next)
            var cursor = HDF5Cursor(heap[start...])
            next = try cursor.integer(UInt64.self)
            let size = try cursor.length()
            guard size >= 16, size <= heap.count - start else {
                throw HDF5Problem.damaged("the free space of a group's names is not in the heap")
            }
            blocks.append(start..<start + size)
        }
        return blocks
    }

    private struct Reader {
        let source: HDF5Source
        let heap: [UInt8]
        /// The parts of the heap that are free, or have the name of a member.
        var used: [Range<Int>]
        let limit: Int
        var entries: [(name: String, object: HDF5SymbolEntry)] = []
        var levels = HDF5TreeLevels()

        mutating func treeNode(at address: UInt64, level expected: Int?) throws {
            var cursor = HDF5Cursor(try source.claim(address, treeNodeBytes, "a group's B-tree node"))
            let (level, count) = try levels.node(
                &cursor, at: address, type: 0, k: HDF5Format.groupTreeK, level: expected, of: "a group's B-tree node")
            guard count > 0 else { return }
            // The names of a child's members follow the key before the child, and end with the key after it.
            var lower = try key(&cursor)
            for _ in 0..<count {
                guard let child = try cursor.address() else {
                    throw HDF5Problem.damaged("a group's B-tree node lacks a child")
                }
                let upper = try key(&cursor)
                let start = entries.count
                defer { lower = upper }
                if level > 0 {
                    try treeNode(at: child, level: level - 1)
                } else {
                    try symbolNode(at: child)
                }
                guard start < entries.count, lower.lexicographicallyPrecedes(entries[start].name.utf8),
                    !upper.lexicographicallyPrecedes(entries[entries.count - 1].name.utf8)
                else { throw HDF5Problem.damaged("a group's B-tree node has wrong keys") }
            }
        }

        /// Reads a key: the bytes of a name in the heap.
        private func key(_ cursor: inout HDF5Cursor) throws -> ArraySlice<UInt8> {
            heap[try nameRange(at: try cursor.length())]
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
                let range = try nameRange(at: try cursor.length())
                used.append(range.lowerBound..<range.upperBound + 1)
                let name = try name(heap[range])
                do {
                    entries.append((name, try HDF5SymbolEntry(&cursor)))
                } catch let problem as HDF5Problem {
                    throw problem.prefixed("the member \(name)")
                }
            }
        }

        /// The range of a name without its terminator.
        private func nameRange(at offset: Int) throws -> Range<Int> {
            guard offset < heap.count,
                let end = heap[offset...].prefix(CheckpointLayout.maximumNameLength + 1).firstIndex(of: 0)
            else {
                throw HDF5Problem.damaged("a member's name lies outside the heap")
            }
            return offset..<end
        }

        private func name(_ bytes: ArraySlice<UInt8>) throws -> String {
            guard let name = String(validating: bytes, as: UTF8.self),
                CheckpointLayout.problem(withMemberName: name) == nil
            else { throw HDF5Problem.damaged("a member's name is not one that a checkpoint uses") }
            return name
        }
    }
}

/// The addresses of the B-tree and the local heap with a group's members; nil for HDF5's undefined address.
struct HDF5SymbolTable: Equatable {
    var tree: UInt64?
    var heap: UInt64?
}

/// The reference to an object in its parent's symbol table, without the name.
struct HDF5SymbolEntry {
    /// The address of the object's header.
    let header: UInt64
    /// The object's symbol table if it is a group, repeated here so that readers need not read the header; may be
    /// absent.
    let table: HDF5SymbolTable?

    init(_ cursor: inout HDF5Cursor) throws {
        let address = try cursor.address()
        let cacheType = try cursor.uint32()
        try cursor.zeros(4)
        guard cacheType <= 1 else { throw HDF5Problem.unsupported("a soft link; only hard links are read") }
        guard let address else { throw HDF5Problem.damaged("has no object header") }
        header = address
        if cacheType == 1 {
            table = HDF5SymbolTable(tree: try cursor.address(), heap: try cursor.address())
        } else {
            table = nil
            try cursor.zeros(16)
        }
    }
}
