import CheckpointIO
import Parallel
import Synchronization

/// A row of a vocabulary matrix with a high cosine to another row.
package struct RowNeighbor: Sendable, Equatable {
    /// The index of the row, which is its token's id.
    package let row: Int
    package let cosine: Float

    /// Finds the rows with the highest cosine to each target, excluding the target itself and zero rows.
    ///
    /// - Parameters:
    ///   - targets: indices of rows.
    ///   - matrix: the matrix to search.
    ///   - summedRows: the number of leading rows whose squares are summed.
    ///   - count: the number of neighbours per target.
    /// - Returns: the neighbours of each target, and the sum of squares, nil if there are no targets.
    /// - Throws: an error of reading.
    static func nearest(
        to targets: [Int], in matrix: TensorRows, summedRows: Int, count: Int = 5
    ) throws -> (neighbors: [Int: [RowNeighbor]], squares: Double?) {
        guard !targets.isEmpty else { return ([:], nil) }
        let width = matrix.columns
        let directions = try targets.map { target in
            let row = try matrix.row(target)
            let norm = euclideanNorm(row)
            return norm > 0 ? row.map { $0 / norm } : row
        }
        let blocks = matrix.blocks(of: 0..<matrix.rows)
        let found = Mutex<[[RowNeighbor]]>(targets.map { _ in [] })
        let sums = Mutex<[Double]>([Double](repeating: 0, count: blocks.count))
        try ParallelWork.forEach(blocks.count) { number in
            let rows = blocks[number]
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * width)
            defer { values.deallocate() }
            try matrix.readRows(rows, into: values)
            guard let base = values.baseAddress else { return }
            var best: [[RowNeighbor]] = targets.map { _ in [] }
            var squares = 0.0
            for (offset, row) in rows.enumerated() {
                let pointer = base + offset * width
                let square = dotProduct(pointer, pointer, width)
                guard square > 0, square.isFinite else { continue }
                if row < summedRows { squares += Double(square) }
                let norm = square.squareRoot()
                for (index, direction) in directions.enumerated() where targets[index] != row {
                    let cosine = direction.withUnsafeBufferPointer { direction in
                        direction.baseAddress.map { dotProduct($0, pointer, width) / norm } ?? 0
                    }
                    if best[index].count < count || cosine > best[index][count - 1].cosine {
                        best[index].append(RowNeighbor(row: row, cosine: cosine))
                        best[index] = Self.leading(best[index], count)
                    }
                }
            }
            let (block, sum) = (best, squares)
            sums.withLock { $0[number] = sum }
            found.withLock { found in
                for index in targets.indices { found[index] = leading(found[index] + block[index], count) }
            }
        }
        let all = found.withLock { $0 }
        return (Dictionary(uniqueKeysWithValues: zip(targets, all)), sums.withLock { $0.reduce(0, +) })
    }

    private static func leading(_ rows: [RowNeighbor], _ count: Int) -> [RowNeighbor] {
        Array(rows.sorted { ($1.cosine, $0.row) < ($0.cosine, $1.row) }.prefix(count))
    }
}

/// The dot product of two rows, accumulated in eight float32 lanes.
@inline(__always)
private func dotProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    var sum = SIMD8<Float>.zero
    for index in 0..<count / 8 {
        let x = UnsafeRawPointer(a + index * 8).loadUnaligned(as: SIMD8<Float>.self)
        let y = UnsafeRawPointer(b + index * 8).loadUnaligned(as: SIMD8<Float>.self)
        sum += x * y
    }
    var total = sum.sum()
    for index in count / 8 * 8..<count { total += a[index] * b[index] }
    return total
}
