import CheckpointIO

/// The statistics of one piece of a tensor pair.
struct PieceDifference: Sendable {
    var statistics = TensorDifference()
    var rowChanges: [Float] = []
    /// The block with the largest difference; nil if neither side is quantised.
    var worstBlock: BlockDifference?
}

/// How a pair of tensors is divided into pieces that are compared independently.
private enum TensorPartition {
    case nothing
    /// Pairs of chunks with the same boundaries in both files.
    case chunks(ChunkPairs)
    /// Ranges of elements, of whole rows where the changes of rows are kept.
    case elements([Range<Int>])
}

/// The tensors with the same name in two files, divided into pieces for comparison.
struct TensorPairing: Sendable {
    let name: String
    let a: TensorRows?
    let b: TensorRows?
    let status: TensorComparison.Status
    let keepsRowChanges: Bool
    private let pieces: TensorPartition

    /// The largest number of elements compared at once in tensors without common chunks.
    private static let elementsPerPiece = 1 << 18

    /// Pairs two tensors; they count as identical without reading if their descriptions and SHA-256 are equal.
    init(
        _ a: (file: CheckpointFile, tensor: StoredTensor)?, _ b: (file: CheckpointFile, tensor: StoredTensor)?,
        name: String, keepsRowChanges: Bool = false
    ) {
        self.name = name
        self.a = a.map { TensorRows($0.file, $0.tensor) }
        self.b = b.map { TensorRows($0.file, $0.tensor) }
        self.keepsRowChanges = keepsRowChanges
        guard let a, let b else {
            status = a == nil ? .added : .removed
            pieces = .nothing
            return
        }
        let left = a.tensor.description
        let right = b.tensor.description
        if left.shape == right.shape, left.elementType == right.elementType,
            left.elementCount == 0 || a.tensor.sha256.map({ $0 == b.tensor.sha256 }) ?? false
        {
            status = .identical
            pieces = .nothing
            return
        }
        guard left.shape.count == right.shape.count, left.shape.dropFirst() == right.shape.dropFirst(),
            left.elementCount > 0, right.elementCount > 0
        else {
            status = .reshaped
            pieces = .nothing
            return
        }
        status = left.shape != right.shape ? .resized : left.elementType != right.elementType ? .retyped : .changed
        let rows = TensorRows(a.file, a.tensor)
        let columns = max(rows.columns, 1)
        let chunked = a.tensor.chunkShape == nil ? TensorRows(b.file, b.tensor) : rows
        if let chunks = ChunkPairs(a, b),
            !keepsRowChanges || (0..<chunks.count).allSatisfy({ chunks.elements(ofChunk: $0).count % columns == 0 })
        {
            pieces = .chunks(chunks)
        } else {
            // Blocks of rows end where chunks of the side that has chunks end, so that none is decoded twice.
            let byRows = keepsRowChanges || chunked.tensor.chunkShape != nil
            let step = byRows ? chunked.rowsPerBlock * columns : Self.elementsPerPiece
            let count = min(left.elementCount, right.elementCount)
            pieces = .elements(
                stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) })
        }
    }

    /// The number of elements that share their scales; nil if neither side is quantised.
    var blockLength: Int? { (b?.tensor.quantization ?? a?.tensor.quantization)?.blockElementCount }

    /// The number of pieces; 0 if nothing has to be compared.
    var pieceCount: Int {
        switch pieces {
        case .nothing: 0
        case .chunks(let chunks): chunks.count
        case .elements(let ranges): ranges.count
        }
    }

    /// The logical bytes of both tensors.
    var byteCount: Int { (a?.description.byteCount ?? 0) + (b?.description.byteCount ?? 0) }

    /// Compares one piece on the current thread.
    func measure(_ piece: Int) throws -> PieceDifference {
        guard let a, let b else { return PieceDifference() }
        let run = keepsRowChanges ? max(a.columns, 1) : ElementPair.run
        switch pieces {
        case .nothing: return PieceDifference()
        case .chunks(let chunks):
            let count = chunks.elements(ofChunk: piece).count
            return try chunks.withChunk(piece) { content in
                switch content {
                case .alike:
                    return PieceDifference(
                        statistics: TensorDifference(unreadCount: count),
                        rowChanges: keepsRowChanges ? [Float](repeating: 0, count: count / run) : [])
                case .different(let left, let right):
                    return try measure(
                        ElementPair(
                            .bytes(left, a.description.elementType), .bytes(right, b.description.elementType),
                            count: count), run: run)
                case .differentPlanes(let left, let right):
                    return try measure(
                        ElementPair(
                            .planes(left, a.description.elementType), .planes(right, b.description.elementType),
                            count: count), run: run)
                }
            }
        case .elements(let ranges):
            return try a.withBytes(of: ranges[piece]) { left in
                try b.withBytes(of: ranges[piece]) { right in
                    try measure(
                        ElementPair(
                            .bytes(left, a.description.elementType), .bytes(right, b.description.elementType),
                            count: ranges[piece].count), run: run)
                }
            }
        }
    }

    private func measure(_ elements: ElementPair, run: Int) throws -> PieceDifference {
        var part = PieceDifference()
        try elements.forEachRun(of: run, blockLength: blockLength) { next, block in
            if keepsRowChanges { part.rowChanges.append(Float(next.differenceNorm)) }
            part.worstBlock = BlockDifference.larger(part.worstBlock, block, offset: part.statistics.elementCount)
            part.statistics.append(next)
        }
        return part
    }
}
