import CheckpointIO
import Parallel
import Synchronization

/// What became of one tensor.
public struct TensorComparison: Sendable {
    public enum Status: String, Sendable {
        /// Equal digests: nothing was read.
        case identical
        case changed
        /// The first dimension differs; the rows both have were compared.
        case resized
        /// Same elements in another storage type; compared as float32.
        case retyped
        case reshaped
        case added
        case removed
    }

    public let name: String
    public let status: Status
    public let shapeA: [Int]?
    public let shapeB: [Int]?
    public let typeA: ElementType?
    public let typeB: ElementType?
    /// Of the elements both have; nil where nothing was compared.
    public let statistics: TensorDifference?
    /// ‖B − A‖ of each row both have, for the vocabulary matrices.
    public let rowChanges: [Float]?
    /// The rows that were asked for, as they are in A (nil where A has no such row) and in B.
    let rows: [Int: (a: [Float]?, b: [Float]?)]
    /// For the rows that were asked for, the rows of B that point most nearly the same way.
    let neighbors: [Int: [RowNeighbor]]

    /// `q`, `k`, `gate`, `norm`, `embed` …: the part of the model the tensor plays.
    public var role: TensorRole { TensorRole(name) }
    /// The decoder layer, nil outside of layers.
    public var layer: Int? { TensorRole.layer(of: name) }

    /// Measures all pairings together, in pieces, on all cores: no core waits for the last piece of a tensor.
    ///
    /// - Parameters:
    ///   - rowsOfInterest: of the pairings that keep row changes, the rows to keep and to find neighbours of.
    ///   - progress: gets the logical bytes of both files done so far, from several threads.
    /// - Throws: an error of reading; a damaged tensor is not compared.
    static func measure(
        _ pairings: [TensorPairing], rowsOfInterest: Set<Int> = [], progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> [TensorComparison] {
        let work = pairings.enumerated().flatMap { index, pairing in
            (0..<pairing.pieceCount).map { (pairing: index, piece: $0) }
        }
        let parts = Mutex<[TensorPairing.Part?]>([TensorPairing.Part?](repeating: nil, count: work.count))
        let done = Atomic<Int>(pairings.reduce(0) { $0 + ($1.pieceCount == 0 ? $1.byteCount : 0) })
        try ParallelWork.forEach(work.count) { item in
            let pairing = pairings[work[item].pairing]
            let part = try pairing.measure(work[item].piece)
            parts.withLock { $0[item] = part }
            progress?(done.add(pairing.byteCount / pairing.pieceCount, ordering: .relaxed).newValue)
        }
        // In the order of the pieces, so that sums do not depend on which thread was first.
        var rest = parts.withLock { $0 }[...]
        return try pairings.map { pairing in
            defer { rest = rest.dropFirst(pairing.pieceCount) }
            return try TensorComparison(
                pairing, rest.prefix(pairing.pieceCount).compactMap(\.self),
                rowsOfInterest: pairing.keepsRowChanges ? rowsOfInterest : [])
        }
    }

    private init(_ pairing: TensorPairing, _ parts: [TensorPairing.Part], rowsOfInterest: Set<Int>) throws {
        name = pairing.name
        status = pairing.status
        shapeA = pairing.a?.description.shape
        shapeB = pairing.b?.description.shape
        typeA = pairing.a?.description.elementType
        typeB = pairing.b?.description.elementType
        guard let a = pairing.a, let b = pairing.b, pairing.pieceCount > 0 else {
            statistics = nil
            rowChanges = nil
            rows = [:]
            neighbors = [:]
            return
        }
        var statistics = TensorDifference()
        for part in parts { statistics.append(part.statistics) }
        rowChanges = pairing.keepsRowChanges ? parts.flatMap(\.rowChanges) : nil
        rows = try Dictionary(
            uniqueKeysWithValues: rowsOfInterest.map { row in
                (row, (row < a.rows ? try a.row(row) : nil, row < b.rows ? try b.row(row) : nil))
            })
        let found = try RowNeighbor.nearest(
            to: rowsOfInterest.filter { $0 < b.rows }.sorted(), in: b, summedRows: min(a.rows, b.rows))
        neighbors = found.neighbors
        // Looking for neighbours read all of B, so the norms need not leave out what is stored alike.
        if let squares = found.squares { statistics.include(allSquaresOfB: squares) }
        self.statistics = statistics
    }
}

extension TensorComparison {
    /// The place of the largest difference, one number a dimension; empty where nothing was compared.
    public var largestIndex: [Int] {
        guard let statistics, let shape = shapeB else { return [] }
        var flat = statistics.largestIndex
        var index = [Int](repeating: 0, count: shape.count)
        for dimension in shape.indices.reversed() where shape[dimension] > 0 {
            index[dimension] = flat % shape[dimension]
            flat /= shape[dimension]
        }
        return index
    }
}
