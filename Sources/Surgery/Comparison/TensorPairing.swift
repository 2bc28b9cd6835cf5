import CheckpointIO

/// The statistics of one piece of a tensor pair.
struct PieceDifference: Sendable {
    var statistics = TensorDifference()
    var rowChanges: [Float] = []
}

/// How a pair of tensors is divided into pieces that are compared independently.
private enum TensorPartition {
    case nothing
    /// Pairs of chunks with the same boundaries in both files.
    case chunks(ChunkPairs)
    /// Blocks of whole rows.
    case rows([Range<Int>])
}

/// The tensors with the same name in two files, divided into pieces for comparison.
struct TensorPairing: Sendable {
    let name: String
    let a: TensorRows?
    let b: TensorRows?
    let status: TensorComparison.Status
    let keepsRowChanges: Bool
    private let pieces: TensorPartition

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
        if left.shape == right.shape, left.elementType == right.elementType, a.tensor.sha256 == b.tensor.sha256 {
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
        if let chunks = ChunkPairs(a, b),
            !keepsRowChanges || (0..<chunks.count).allSatisfy({ chunks.elements(ofChunk: $0).count % columns == 0 })
        {
            pieces = .chunks(chunks)
        } else {
            pieces = .rows(rows.blocks(of: 0..<min(rows.rows, right.shape.first ?? 1)))
        }
    }

    /// The number of pieces; 0 if nothing has to be compared.
    var pieceCount: Int {
        switch pieces {
        case .nothing: 0
        case .chunks(let chunks): chunks.count
        case .rows(let blocks): blocks.count
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
        case .rows(let blocks):
            return try a.withRowBytes(blocks[piece]) { left in
                try b.withRowBytes(blocks[piece]) { right in
                    try measure(
                        ElementPair(
                            .bytes(left, a.description.elementType), .bytes(right, b.description.elementType),
                            count: blocks[piece].count * a.columns), run: run)
                }
            }
        }
    }

    private func measure(_ elements: ElementPair, run: Int) throws -> PieceDifference {
        var part = PieceDifference()
        try elements.forEachRun(of: run) { next in
            if keepsRowChanges { part.rowChanges.append(Float(next.differenceNorm)) }
            part.statistics.append(next)
        }
        return part
    }
}
