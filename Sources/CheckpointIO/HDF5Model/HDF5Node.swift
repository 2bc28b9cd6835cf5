/// An object of an HDF5 file without its data: what the reader returns and the writer takes.
enum HDF5Node: Sendable {
    case group(HDF5Group)
    case dataset(HDF5Dataset)
}

/// A group: its attributes, and its members sorted by the bytes of their names.
struct HDF5Group: Sendable {
    var attributes: [(name: String, value: HDF5Value)]
    var members: [(name: String, node: HDF5Node)]
}

/// A dataset's type, shape (nil for a scalar), attributes and storage.
struct HDF5Dataset: Sendable {
    var type: HDF5Datatype
    var shape: [Int]?
    var storage: StoredLayout
    var attributes: [(name: String, value: HDF5Value)]
}

/// Where a dataset's bytes are in the file.
enum StoredLayout: Sendable {
    /// One range of bytes; the address is nil if the dataset has no elements.
    case contiguous(UInt64?, byteCount: Int)
    /// All chunks, in row-major order of their positions.
    case chunked(ChunkGrid, [HDF5Filter], [StoredChunk])
}

/// A step of a filter pipeline.
struct HDF5Filter: Sendable, Equatable {
    var identifier: Int32
    var parameters: [UInt32]

    /// The pipeline of compressed data; elements of one byte are not shuffled.
    static func shuffleAndZstd(elementSize: Int, level: Int32) -> [HDF5Filter] {
        let zstd = HDF5Filter(identifier: CheckpointLayout.zstdFilter, parameters: [UInt32(bitPattern: level)])
        guard elementSize > 1 else { return [zstd] }
        return [HDF5Filter(identifier: CheckpointLayout.shuffleFilter, parameters: [UInt32(elementSize)]), zstd]
    }
}

/// The address and size of a stored chunk.
struct StoredChunk: Sendable, Equatable {
    var address: UInt64
    var byteCount: Int
    /// Bit i set: filter i was not applied.
    var filterMask: UInt32
}
