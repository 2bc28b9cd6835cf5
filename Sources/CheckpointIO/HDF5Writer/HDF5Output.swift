/// An HDF5 file being written: first the data, then the structure, and last the superblock.
///
/// An incomplete file has no superblock, so no reader takes it for an HDF5 file.
final class HDF5Output: @unchecked Sendable {
    // Sendable because one thread at a time uses it: the encoder's while tensors are written, then the writer's.
    private let output: DirectOutput

    /// Creates a file, which must not exist; `name` is the path in errors.
    ///
    /// - Throws: `CheckpointError.system`.
    init(creating path: String, reportedAs name: String) throws {
        output = try DirectOutput(
            creating: path, reportedAs: name, headerSize: HDF5Format.superblockSize)
    }

    /// Appends all bytes of an uncompressed dataset.
    func appendContiguous(_ bytes: UnsafeRawBufferPointer) throws -> StoredLayout {
        .contiguous(bytes.isEmpty ? nil : try output.append(bytes), byteCount: bytes.count)
    }

    /// Appends an encoded chunk.
    func appendChunk(_ bytes: UnsafeRawBufferPointer, filterMask: UInt32) throws -> StoredChunk {
        StoredChunk(address: try output.append(bytes), byteCount: bytes.count, filterMask: filterMask)
    }

    /// Writes the structure and the superblock; called once, at the end.
    func finish(_ root: HDF5Group) throws {
        let padding = [UInt8](repeating: 0, count: -output.byteCount & 7)
        _ = try padding.withUnsafeBytes { try output.append($0) }
        let structure = HDF5Structure(root, at: UInt64(output.byteCount))
        _ = try structure.bytes.withUnsafeBytes { try output.append($0) }
        try output.finish(header: structure.superblock)
    }
}
