/// The objects of an HDF5 file, without their data: as the strict reader finds them, and as the writer is given them.
enum HDF5Node: Sendable {
    case group(HDF5Group)
    case dataset(HDF5Dataset)
}

/// A group: attributes and members, names ascending by bytes.
struct HDF5Group: Sendable {
    var attributes: [(name: String, value: HDF5Value)]
    var members: [(name: String, node: HDF5Node)]
}

/// A dataset's type, shape (nil for a scalar), attributes, and where its bytes are.
struct HDF5Dataset: Sendable {
    var type: HDF5Datatype.Parsed
    var shape: [Int]?
    var storage: StoredLayout
    var attributes: [(name: String, value: HDF5Value)]
}

/// Where a dataset's bytes are in the file.
enum StoredLayout: Sendable {
    /// No element, or one range; nil where there is no element.
    case contiguous(UInt64?, byteCount: Int)
    /// Chunks in row-major order of their positions, complete.
    case chunked(ChunkGrid, [HDF5Filter], [StoredChunk])
}

/// A step of a filter pipeline.
struct HDF5Filter: Sendable, Equatable {
    var identifier: Int32
    var parameters: [UInt32]

    /// What data are stored through; single bytes need no shuffling.
    static func shuffleAndZstd(elementSize: Int, level: Int32) -> [HDF5Filter] {
        let zstd = HDF5Filter(identifier: CheckpointLayout.zstdFilter, parameters: [UInt32(bitPattern: level)])
        guard elementSize > 1 else { return [zstd] }
        return [HDF5Filter(identifier: CheckpointLayout.shuffleFilter, parameters: [UInt32(elementSize)]), zstd]
    }
}

/// A chunk as stored.
struct StoredChunk: Sendable, Equatable {
    var address: UInt64
    var byteCount: Int
    /// Bit i set: filter i was not applied.
    var filterMask: UInt32
}
