import Synchronization

/// The weights of a checkpoint as a `TensorSource` for export.
///
/// Tensors are read in ranges, so that an export never holds more than a few chunks in memory.
public final class CheckpointTensors: TensorSource {
    public let tensors: [TensorDescription]
    private let file: CheckpointFile
    /// The last tensor that had to be read whole.
    private let whole = Mutex<(name: String, bytes: [UInt8])?>(nil)

    public init(_ file: CheckpointFile) {
        self.file = file
        tensors = file.tensors().map(\.description)
    }

    public func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let tensor = file.tensor(name) else { throw CheckpointError.noTensor(path: file.path, name: name) }
        guard range.lowerBound >= 0, range.upperBound <= tensor.description.byteCount, range.count == destination.count
        else {
            throw CheckpointError.invalid(name: name, problem: "bytes \(range) are outside the tensor")
        }
        guard !range.isEmpty else { return }
        // If a chunk has no checksum, only the sha256 of the whole tensor reveals damage.
        if try file.readChunks(of: tensor, range, into: destination) != true {
            try readWhole(tensor, range, into: destination)
        }
    }

    /// Reads a range from the whole tensor, which is kept until another tensor is read whole.
    private func readWhole(
        _ tensor: StoredTensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        try whole.withLock { whole in
            if whole?.name != tensor.description.name {
                // Free the old one first.
                whole = nil
                var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
                try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
                whole = (tensor.description.name, bytes)
            }
            whole?.bytes.withUnsafeBytes {
                destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
            }
        }
    }
}
