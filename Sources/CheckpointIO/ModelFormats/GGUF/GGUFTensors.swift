/// The tensors of GGUF files under their Hugging Face names.
///
/// Rows of queries and keys are in Hugging Face's order, and quantised tensors are converted to float32.
final class GGUFTensors: TensorSource {
    struct Tensor: Sendable {
        var description: TensorDescription
        var info: GGUFTensorInfo
        /// The permutation of the rows; nil if their order does not change.
        var rowOrder: HeadRowOrder?
    }

    let tensors: [TensorDescription]
    private let files: [RandomAccessFile]
    private let byName: [String: Tensor]

    /// A source of the tensors of a model's files; their names are unique.
    init(_ files: [RandomAccessFile], _ tensors: [Tensor]) {
        self.files = files
        self.tensors = tensors.map(\.description)
        byName = Dictionary(tensors.map { ($0.description.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func quantization(of name: String) -> TensorQuantization? {
        guard let info = byName[name]?.info, info.type.blockElementCount > 1 else { return nil }
        return TensorQuantization(
            name: info.type.name, blockElementCount: info.type.blockElementCount, storedByteCount: info.byteCount)
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let tensor = byName[name] else {
            throw ModelFormatError.missing(
                path: files[0].path, what: "tensor \(quoted(name))", remedy: "ckpt inspect lists the tensors")
        }
        guard range.lowerBound >= 0, range.upperBound <= tensor.description.byteCount, range.count == destination.count
        else {
            throw ModelFormatError.malformed(
                path: files[tensor.info.shard].path, place: "tensor \(quoted(name))",
                reason: "bytes \(range) are outside the tensor")
        }
        guard let order = tensor.rowOrder else {
            return try readStored(tensor, range, into: destination)
        }
        // The rows of a bias are its elements.
        let rowCount = tensor.info.shape[0]
        let rowByteCount = tensor.description.byteCount / rowCount
        var position = range.lowerBound
        while position < range.upperBound {
            let (row, inner) = position.quotientAndRemainder(dividingBy: rowByteCount)
            let count = min(rowByteCount - inner, range.upperBound - position)
            let start = order.ggufRow(row) * rowByteCount + inner
            let target = UnsafeMutableRawBufferPointer(
                rebasing: destination[position - range.lowerBound..<position - range.lowerBound + count])
            try readStored(tensor, start..<start + count, into: target)
            position += count
        }
    }

    /// Reads a range of the decoded bytes in the file's row order.
    private func readStored(
        _ tensor: Tensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let type = tensor.info.type
        let file = files[tensor.info.shard]
        let place = "tensor \(quoted(tensor.info.name))"
        guard type.blockElementCount > 1 else {
            return try file.read(at: tensor.info.offset + range.lowerBound, into: destination, place: place)
        }
        let logicalBlock = type.blockElementCount * 4
        let piece = max(1, Self.pieceByteCount / type.blockByteCount)
        let blocks = range.lowerBound / logicalBlock..<(range.upperBound + logicalBlock - 1) / logicalBlock
        let capacity = min(piece, blocks.count)
        try withUnsafeTemporaryAllocation(byteCount: capacity * type.blockByteCount, alignment: 16) { stored in
            try withUnsafeTemporaryAllocation(of: Float.self, capacity: type.blockElementCount) { edge in
                guard let storedStart = stored.baseAddress, let edgeStart = edge.baseAddress,
                    let target = destination.baseAddress
                else { return }
                var block = blocks.lowerBound
                while block < blocks.upperBound {
                    let count = min(capacity, blocks.upperBound - block)
                    let bytes = UnsafeMutableRawBufferPointer(rebasing: stored[..<(count * type.blockByteCount)])
                    try file.read(at: tensor.info.offset + block * type.blockByteCount, into: bytes, place: place)
                    for index in 0..<count {
                        let start = (block + index) * logicalBlock
                        decode(
                            type, storedStart + index * type.blockByteCount, start..<start + logicalBlock,
                            edge: edgeStart, range, target)
                    }
                    block += count
                }
            }
        }
    }

    /// Decodes the part of a block that is in `range`; `edge` is a buffer for a block that is only partly in it.
    @inline(__always)
    private func decode(
        _ type: GGUFTensorType, _ block: UnsafeRawPointer, _ logical: Range<Int>, edge: UnsafeMutablePointer<Float>,
        _ range: Range<Int>, _ destination: UnsafeMutableRawPointer
    ) {
        let covered = logical.clamped(to: range)
        let target = destination + (covered.lowerBound - range.lowerBound)
        let isWhole = covered.count == logical.count && UInt(bitPattern: target) % 4 == 0
        if isWhole {
            GGUFDequantization.decode(type, block, blockCount: 1, into: target.assumingMemoryBound(to: Float.self))
        } else {
            GGUFDequantization.decode(type, block, blockCount: 1, into: edge)
            let offset = covered.lowerBound - logical.lowerBound
            target.copyMemory(from: UnsafeRawPointer(edge) + offset, byteCount: covered.count)
        }
    }

    /// Stored bytes read at a time.
    private static let pieceByteCount = 256 << 10
}
