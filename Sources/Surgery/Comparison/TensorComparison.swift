import CheckpointIO
import Parallel
import Synchronization

/// How one tensor changed.
package struct TensorComparison: Sendable {
    package enum Status: String, Sendable {
        /// The digests are equal, so nothing was read; or all elements, if there are no digests.
        case identical
        case changed
        /// The first dimension differs; the common rows were compared.
        case resized
        /// The storage type differs; the values were compared as float32.
        case retyped
        case reshaped
        case added
        case removed
    }

    package let name: String
    package let status: Status
    package let shapeA: [Int]?
    package let shapeB: [Int]?
    package let typeA: ElementType?
    package let typeB: ElementType?
    /// Statistics of the common elements; nil if nothing was compared.
    package let statistics: TensorDifference?
    /// ‖B − A‖ of each common row; only for vocabulary matrices.
    package let rowChanges: [Float]?
    /// The rows of interest in A and B; nil if a side has no such row.
    let rows: [Int: (a: [Float]?, b: [Float]?)]
    /// ggml's type of A, if it is quantised.
    package let quantizationA: String?
    /// ggml's type of B, if it is quantised.
    package let quantizationB: String?
    /// The block with the largest difference, if a side is quantised.
    package let worstBlock: WorstBlock?
    /// The nearest rows of B for each row of interest.
    let neighbors: [Int: [RowNeighbor]]

    /// The tensor's role in the model.
    package var role: TensorRole { TensorRole(name) }
    /// The decoder layer; nil outside of layers.
    package var layer: Int? { TensorRole.layer(of: name) }

    /// Compares the pieces of all pairings on all cores.
    ///
    /// - Parameters:
    ///   - pairings: the tensors to compare.
    ///   - rowsOfInterest: rows to return with their neighbours, for pairings that keep row changes.
    ///   - progress: receives the logical bytes of both files compared so far; called from several threads.
    /// - Returns: one comparison per pairing, in order.
    /// - Throws: an error of reading, including damage in a tensor that must be decoded.
    static func measure(
        _ pairings: [TensorPairing], rowsOfInterest: Set<Int> = [], progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> [TensorComparison] {
        let work = pairings.enumerated().flatMap { index, pairing in
            (0..<pairing.pieceCount).map { (pairing: index, piece: $0) }
        }
        let parts = Mutex<[PieceDifference?]>([PieceDifference?](repeating: nil, count: work.count))
        let done = Atomic<Int>(pairings.reduce(0) { $0 + ($1.pieceCount == 0 ? $1.byteCount : 0) })
        try ParallelWork.forEach(work.count) { item in
            let pairing = pairings[work[item].pairing]
            let part = try pairing.measure(work[item].piece)
            parts.withLock { $0[item] = part }
            progress?(done.add(pairing.byteCount / pairing.pieceCount, ordering: .relaxed).newValue)
        }
        // Sums in the order of the pieces, so that the result does not depend on the threads.
        var rest = parts.withLock { $0 }[...]
        return try pairings.map { pairing in
            defer { rest = rest.dropFirst(pairing.pieceCount) }
            return try TensorComparison(
                pairing, rest.prefix(pairing.pieceCount).compactMap(\.self),
                rowsOfInterest: pairing.keepsRowChanges ? rowsOfInterest : [])
        }
    }

    private init(_ pairing: TensorPairing, _ parts: [PieceDifference], rowsOfInterest: Set<Int>) throws {
        name = pairing.name
        quantizationA = pairing.a?.tensor.quantization?.name
        quantizationB = pairing.b?.tensor.quantization?.name
        shapeA = pairing.a?.description.shape
        shapeB = pairing.b?.description.shape
        typeA = pairing.a?.description.elementType
        typeB = pairing.b?.description.elementType
        guard let a = pairing.a, let b = pairing.b, pairing.pieceCount > 0 else {
            status = pairing.status
            statistics = nil
            rowChanges = nil
            worstBlock = nil
            rows = [:]
            neighbors = [:]
            return
        }
        var statistics = TensorDifference()
        var worst: BlockDifference?
        for part in parts {
            worst = BlockDifference.larger(worst, part.worstBlock, offset: statistics.elementCount)
            statistics.append(part.statistics)
        }
        let isEqual = statistics.identicalCount == statistics.elementCount
        status = pairing.status == .changed && isEqual ? .identical : pairing.status
        worstBlock = worst.flatMap { Self.worstBlock($0, pairing, statistics) }
        rowChanges = pairing.keepsRowChanges ? parts.flatMap(\.rowChanges) : nil
        rows = try Dictionary(
            uniqueKeysWithValues: rowsOfInterest.map { row in
                (row, (row < a.rows ? try a.row(row) : nil, row < b.rows ? try b.row(row) : nil))
            })
        let found = try RowNeighbor.nearest(
            to: rowsOfInterest.filter { $0 < b.rows }.sorted(), in: b, summedRows: min(a.rows, b.rows))
        neighbors = found.neighbors
        // The search for neighbours has read all of B, so the norms can include unread elements.
        if let squares = found.squares { statistics.include(allSquaresOfB: squares) }
        self.statistics = statistics
    }

    /// The worst block; nil if no block differs.
    private static func worstBlock(
        _ block: BlockDifference, _ pairing: TensorPairing, _ statistics: TensorDifference
    ) -> WorstBlock? {
        guard block.squaredDifference > 0, let length = pairing.blockLength, let shape = pairing.b?.description.shape
        else { return nil }
        let blockCount = Double(statistics.elementCount) / Double(length)
        return WorstBlock(
            index: Self.index(ofElement: block.index, shape), elementCount: length,
            relativeError: Double(block.squaredDifference).squareRoot() / (statistics.normA / blockCount.squareRoot()))
    }

    /// The index of an element, one number per dimension.
    private static func index(ofElement number: Int, _ shape: [Int]) -> [Int] {
        var flat = number
        var index = [Int](repeating: 0, count: shape.count)
        for dimension in shape.indices.reversed() where shape[dimension] > 0 {
            index[dimension] = flat % shape[dimension]
            flat /= shape[dimension]
        }
        return index
    }
}

extension TensorComparison {
    /// The index of the largest difference, one number per dimension; empty if nothing was compared.
    package var largestIndex: [Int] {
        guard let statistics, let shape = shapeB else { return [] }
        return Self.index(ofElement: statistics.largestIndex, shape)
    }
}

extension TensorDifference {
    /// Appends a tensor to a total, for which `largestIndex` is not meaningful.
    mutating func append(_ tensor: TensorComparison) {
        if let statistics = tensor.statistics {
            append(statistics)
        } else if tensor.status == .identical {
            append(TensorDifference(unreadCount: tensor.shapeB?.reduce(1, *) ?? 0))
        }
    }
}
