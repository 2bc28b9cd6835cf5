extension CheckpointRecord {
    /// The compressed chunks of the record; none if it is not compressed.
    func frames() throws -> [[UInt8]] {
        guard let grid else { return [] }
        let workspace = EncodingWorkspace()
        let frame = ScratchBuffer()
        return try value.bytes.withUnsafeBytes { bytes in
            try (0..<grid.count).map { number in
                let range = grid.byteRange(ofChunk: number)
                let chunk = workspace.raw[0].resized(to: grid.chunkByteCount)
                chunk.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
                UnsafeMutableRawBufferPointer(rebasing: chunk[range.count...])
                    .initializeMemory(as: UInt8.self, repeating: 0)
                try workspace.compress(
                    UnsafeRawBufferPointer(chunk), elementSize: grid.elementSize,
                    .matching, into: frame)
                return Array(frame.content)
            }
        }
    }

    private var grid: ChunkGrid? {
        guard isCompressed else { return nil }
        return ChunkGrid(storing: value.shape ?? [], elementSize: value.type.byteCount)
    }

    /// Writes the dataset of the record, whose compressed chunks are `frames`.
    func write(_ frames: [[UInt8]], to output: HDF5Output) throws -> HDF5Dataset {
        let storage: StoredLayout
        if let grid {
            let level = ZstdEffort.matching.recordedLevel
            let chunks = try frames.map { frame in
                try frame.withUnsafeBytes { try output.appendChunk($0, filterMask: 0) }
            }
            storage = .chunked(
                grid, HDF5Filter.shuffleAndZstd(elementSize: grid.elementSize, level: level), chunks)
        } else {
            storage = try value.bytes.withUnsafeBytes { try output.appendContiguous($0) }
        }
        return HDF5Dataset(
            type: HDF5Datatype(value.type), shape: value.shape, storage: storage, attributes: [])
    }
}
