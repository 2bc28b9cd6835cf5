/// Reads datasets: type, shape, layout, filters, and the index of chunks.
enum HDF5Datasets {
    /// Maximum size of a chunk.
    private static let maximumChunkBytes = 64 << 20

    static func read(
        _ header: HDF5ObjectHeader, _ attributes: [(name: String, value: HDF5Value)], _ source: HDF5Source
    ) throws -> HDF5Dataset {
        guard var typeMessage = try header.only(.datatype), var spaceMessage = try header.only(.dataspace),
            var layout = try header.only(.layout)
        else { throw HDF5Problem.unsupported("an object that is neither group nor dataset") }
        let type = try HDF5Datatype.parse(&typeMessage)
        try typeMessage.end(of: "the datatype")
        let shape = try HDF5Dataspace.parse(&spaceMessage)
        let elementSize = type.byteCount
        guard let byteCount = checkedByteCount(shape ?? [], elementSize) else {
            throw HDF5Problem.damaged("the shape \(shape ?? []) is impossibly large")
        }
        try HDF5FillValue.check(header, elementSize: elementSize)
        let filters = try header.only(.filterPipeline).map { cursor in
            var cursor = cursor
            return try pipeline(&cursor, elementSize: elementSize)
        }
        let storage: StoredLayout
        try layout.version(3, of: "the layout")
        switch try layout.uint8() {
        case 1:
            guard filters == nil else { throw HDF5Problem.damaged("a dataset with filters but without chunks") }
            storage = try contiguous(&layout, byteCount, source)
        case 2:
            storage = try chunked(&layout, shape ?? [], elementSize, filters ?? [], source)
        case 0: throw HDF5Problem.unsupported("a dataset in compact storage")
        case 3: throw HDF5Problem.unsupported("a virtual dataset")
        case let other: throw HDF5Problem.damaged("a layout of class \(other)")
        }
        try layout.end(of: "the layout")
        return HDF5Dataset(type: type, shape: shape, storage: storage, attributes: attributes)
    }

    private static func contiguous(
        _ layout: inout HDF5Cursor, _ byteCount: Int, _ source: HDF5Source
    ) throws -> StoredLayout {
        let address = try layout.address()
        let stored = try layout.length()
        guard stored == byteCount else {
            throw HDF5Problem.damaged("its shape calls for \(byteCount) bytes, \(stored) are stored")
        }
        guard byteCount > 0 else {
            guard address ?? 0 <= UInt64(source.byteCount) else {
                throw HDF5Problem.damaged("its address is past the end of the file")
            }
            return .contiguous(nil, byteCount: 0)
        }
        guard let address else { throw HDF5Problem.damaged("its data were never written") }
        try source.claimRange(address, byteCount, "its data")
        return .contiguous(address, byteCount: byteCount)
    }

    /// Reads a filter pipeline; allowed are no filter, shuffle, zstd, and shuffle before zstd.
    private static func pipeline(_ cursor: inout HDF5Cursor, elementSize: Int) throws -> [HDF5Filter] {
        let version = try cursor.uint8()
        guard version == 1 || version == 2 else {
            throw HDF5Problem.unsupported("a filter pipeline of version \(version)")
        }
        let count = try cursor.uint8()
        if version == 1 { try cursor.zeros(6) }
        guard count <= 2 else { throw HDF5Problem.unsupported("more than two filters") }
        guard count > 0 else { throw HDF5Problem.damaged("a filter pipeline without filters") }
        var filters: [HDF5Filter] = []
        for _ in 0..<count {
            let identifier = Int32(try cursor.uint16())
            let nameLength = version == 1 || identifier >= 256 ? try cursor.uint16() : 0
            guard try cursor.uint16() <= 1 else { throw HDF5Problem.damaged("a filter has unknown flags") }
            let parameterCount = try cursor.uint16()
            guard parameterCount <= 8 else { throw HDF5Problem.unsupported("a filter with many parameters") }
            let name = try cursor.bytes(nameLength)
            guard version == 2 || nameLength % 8 == 0, isName(name) else {
                throw HDF5Problem.damaged("a filter's name is not a text")
            }
            let parameters = try (0..<parameterCount).map { _ in try cursor.integer(UInt32.self) }
            if version == 1, parameterCount % 2 == 1 { try cursor.skip(4) }
            filters.append(HDF5Filter(identifier: identifier, parameters: parameters))
        }
        try cursor.end(of: "a filter pipeline")
        let isShuffleRight = filters.allSatisfy {
            $0.identifier != CheckpointLayout.shuffleFilter || $0.parameters == [UInt32(elementSize)]
        }
        guard isShuffleRight else { throw HDF5Problem.damaged("the shuffle filter has a wrong element size") }
        let identifiers = filters.map(\.identifier)
        let (shuffle, zstd) = (CheckpointLayout.shuffleFilter, CheckpointLayout.zstdFilter)
        guard [[], [shuffle], [zstd], [shuffle, zstd]].contains(identifiers) else {
            throw HDF5Problem.unsupported(
                "the filters \(identifiers.map(String.init).joined(separator: ", ")); "
                    + "only shuffle (2) and zstd (32015), in this order, are read")
        }
        return filters
    }

    /// Whether a filter's name is empty, or printable ASCII with a NUL and padding.
    private static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        guard let end = name.firstIndex(of: 0) else { return name.isEmpty }
        return name[..<end].allSatisfy { (0x20..<0x7f).contains($0) } && name[end...].allSatisfy { $0 == 0 }
    }

    private static func chunked(
        _ layout: inout HDF5Cursor, _ shape: [Int], _ elementSize: Int, _ filters: [HDF5Filter], _ source: HDF5Source
    ) throws -> StoredLayout {
        let rank = try layout.uint8() - 1
        let tree = try layout.address()
        guard rank == shape.count, rank > 0 else {
            throw HDF5Problem.damaged("its chunks do not have the rank of its shape")
        }
        let chunkShape = try (0..<rank).map { _ in try layout.uint32() }
        guard try layout.uint32() == elementSize, chunkShape.allSatisfy({ $0 > 0 }) else {
            throw HDF5Problem.damaged("its chunks have an impossible shape")
        }
        guard let chunkBytes = checkedByteCount(chunkShape, elementSize), chunkBytes <= maximumChunkBytes else {
            throw HDF5Problem.unsupported("chunks of more than \(maximumChunkBytes >> 20) MiB")
        }
        let grid = ChunkGrid(shape: shape, chunkShape: chunkShape, elementSize: elementSize)
        guard let count = checkedByteCount(grid.counts, 1), count <= source.byteCount / 16 else {
            throw HDF5Problem.damaged("the shape \(shape) calls for more chunks than the file can hold")
        }
        guard tree != nil || count == 0 else { throw HDF5Problem.damaged("its data were never written") }
        var reader = ChunkTreeReader(source: source, grid: grid, filterCount: filters.count)
        if let tree { try reader.node(at: tree, level: nil) }
        try reader.levels.finish("a chunk index node")
        guard reader.chunks.count == count else {
            throw HDF5Problem.damaged("\(reader.chunks.count) of \(count) chunks are stored")
        }
        return count == 0 ? .contiguous(nil, byteCount: 0) : .chunked(grid, filters, reader.chunks)
    }

    private struct ChunkTreeReader {
        let source: HDF5Source
        let grid: ChunkGrid
        let filterCount: Int
        var chunks: [StoredChunk] = []
        var levels = HDF5TreeLevels()

        mutating func node(at address: UInt64, level expected: Int?) throws {
            let rank = grid.shape.count
            let keyBytes = 8 + 8 * (rank + 1)
            let nodeBytes = HDF5Format.treeNodeSize(k: HDF5Format.chunkTreeK, keySize: keyBytes)
            var cursor = HDF5Cursor(try source.claim(address, nodeBytes, "a chunk index node"))
            let (level, count) = try levels.node(
                &cursor, at: address, type: 1, k: HDF5Format.chunkTreeK, level: expected, of: "a chunk index node")
            for _ in 0..<count {
                let byteCount = try cursor.uint32()
                let mask = try cursor.integer(UInt32.self)
                let offset = try (0..<rank).map { _ in try cursor.length() }
                let elementOffset = try cursor.length()
                guard let child = try cursor.address() else { throw HDF5Problem.damaged("a chunk has no address") }
                if level > 0 {
                    guard elementOffset == 0, grid.number(ofChunkAt: offset) == chunks.count else {
                        throw HDF5Problem.damaged("a chunk index node has a wrong key for chunk \(chunks.count)")
                    }
                    try node(at: child, level: level - 1)
                    continue
                }
                guard elementOffset == 0, grid.number(ofChunkAt: offset) == chunks.count else {
                    throw HDF5Problem.damaged("chunk \(chunks.count) is missing from the index or not in its place")
                }
                try check(byteCount, mask)
                try source.claimRange(child, byteCount, "chunk \(chunks.count)")
                chunks.append(StoredChunk(address: child, byteCount: byteCount, filterMask: mask))
            }
            if count > 0 { try checkLastKey(&cursor) }
        }

        /// Checks the key after a node's last child: readers search only for chunks that precede it.
        private func checkLastKey(_ cursor: inout HDF5Cursor) throws {
            try cursor.skip(8)
            let key = try (0...grid.shape.count).map { _ in try cursor.length() }
            let isMultiple = zip(key, grid.chunkShape + [grid.elementSize]).allSatisfy { $0 % $1 == 0 }
            let last = grid.offset(ofChunk: chunks.count - 1) + [0]
            guard isMultiple, last.lexicographicallyPrecedes(key) else {
                throw HDF5Problem.damaged("a chunk index node ends with a wrong key")
            }
        }

        private func check(_ byteCount: Int, _ mask: UInt32) throws {
            guard mask >> filterCount == 0 else {
                throw HDF5Problem.damaged("the filter mask of chunk \(chunks.count) names filters that do not exist")
            }
            guard byteCount > 0, byteCount <= 2 * grid.chunkByteCount + 1024 else {
                throw HDF5Problem.damaged("chunk \(chunks.count) has \(byteCount) stored bytes")
            }
        }
    }
}
