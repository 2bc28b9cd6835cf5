import Synchronization

/// The weights of a checkpoint as a source that is read range by range, so that writing them out in another format
/// never holds more than a few chunks.
public final class CheckpointTensors: TensorSource {
    public let tensors: [TensorDescription]
    private let file: CheckpointFile
    /// The last tensor that could only be read as a whole.
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
        guard case .chunked(let grid, let filters) = tensor.storage, grid.isContiguous, !range.isEmpty else {
            return try readWhole(tensor, range, into: destination)
        }
        let capacity = grid.chunkByteCount
        try withScratch(byteCount: capacity) { scratch in
            var number = Self.chunk(at: range.lowerBound, grid)
            while number < grid.count {
                let covered = grid.byteRange(ofChunk: number)
                guard covered.lowerBound < range.upperBound else { break }
                let part = covered.clamped(to: range)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: destination[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
                let isChecked: Bool
                if part == covered {
                    isChecked = try file.decodeChunk(number, of: tensor, grid, filters, into: target, isWhole: false)
                } else {
                    let decoded = UnsafeMutableRawBufferPointer(rebasing: scratch[..<covered.count])
                    isChecked = try file.decodeChunk(number, of: tensor, grid, filters, into: decoded, isWhole: false)
                    let start = part.lowerBound - covered.lowerBound
                    target.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: decoded[start..<start + part.count]))
                }
                // Without a checksum a chunk, only the sha256 of all of it tells damage.
                guard isChecked else { return try readWhole(tensor, range, into: destination) }
                number += 1
            }
        }
    }

    /// Reads tensors that have no chunks, or chunks that only make sense together, and keeps the last one.
    private func readWhole(
        _ tensor: StoredTensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        try whole.withLock { whole in
            if whole?.name != tensor.description.name {
                // Let go of the old one first.
                whole = nil
                var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
                try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
                whole = (tensor.description.name, bytes)
            }
            guard let bytes = whole?.bytes, !range.isEmpty else { return }
            bytes.withUnsafeBytes { destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
    }

    /// The number of the chunk that holds a byte; the ranges of a contiguous grid ascend.
    private static func chunk(at byte: Int, _ grid: ChunkGrid) -> Int {
        var low = 0
        var high = grid.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if grid.byteRange(ofChunk: middle).lowerBound <= byte { low = middle } else { high = middle }
        }
        return low
    }

    private func withScratch(byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { scratch.deallocate() }
        try body(scratch)
    }
}
