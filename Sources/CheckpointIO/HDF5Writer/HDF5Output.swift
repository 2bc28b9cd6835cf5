/// An HDF5 file being written: the data, each where it comes; then the structure that leads to them; last the superblock,
/// without which no reader takes the file for one.
final class HDF5Output: @unchecked Sendable {
    // Sendable because one thread at a time has it: the encoder's while tensors are written, then the writer's.
    private let output: DirectOutput

    /// Creates a file that must not exist.
    /// - Parameter name: the path that errors show.
    /// - Throws: `CheckpointError.system`, as all methods.
    init(creating path: String, reportedAs name: String) throws {
        output = try DirectOutput(
            creating: path, reportedAs: name, headerSize: HDF5Format.superblockSize)
    }

    /// Adds all bytes of a dataset that is stored as it is.
    func appendContiguous(_ bytes: UnsafeRawBufferPointer) throws -> StoredLayout {
        .contiguous(bytes.isEmpty ? nil : try output.append(bytes), byteCount: bytes.count)
    }

    /// Adds a chunk in its stored form.
    func appendChunk(_ bytes: UnsafeRawBufferPointer, filterMask: UInt32) throws -> StoredChunk {
        StoredChunk(address: try output.append(bytes), byteCount: bytes.count, filterMask: filterMask)
    }

    /// Completes the file. Called once, at the end.
    func finish(_ root: HDF5Group) throws {
        let padding = [UInt8](repeating: 0, count: -output.byteCount & 7)
        _ = try padding.withUnsafeBytes { try output.append($0) }
        let structure = HDF5Structure(root, at: UInt64(output.byteCount))
        _ = try structure.bytes.withUnsafeBytes { try output.append($0) }
        try output.finish(header: structure.superblock)
    }
}
