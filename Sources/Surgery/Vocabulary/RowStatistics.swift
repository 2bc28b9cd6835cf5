import CheckpointIO
import Parallel
import Synchronization

/// Statistics of a block of rows.
struct RowBlockSums: Sendable {
    /// The sum of the rows, `[columns]`.
    var sum: [Double]
    /// The squared norm of each row.
    var squares: [Double]
}

/// Sums and squared norms of all rows of a vocabulary matrix, computed before it is known which rows are used.
struct RowSums: Sendable {
    let matrix: TensorRows
    let rows: [Range<Int>]
    let blocks: [RowBlockSums]

    init(_ matrix: TensorRows) throws {
        self = try Self.all([matrix], beside: {}).sums[0]
    }

    private init(_ matrix: TensorRows, _ rows: [Range<Int>], _ blocks: [RowBlockSums]) {
        self.matrix = matrix
        self.rows = rows
        self.blocks = blocks
    }

    /// Reads the matrices on all cores while `work` runs on one of them.
    ///
    /// - Returns: the sums of each matrix, and the result of `work`.
    static func all<Result: Sendable>(
        _ matrices: [TensorRows], beside work: @Sendable () throws -> Result
    ) throws -> (sums: [RowSums], result: Result) {
        let rows = matrices.map { $0.blocks(of: 0..<$0.rows) }
        let places = rows.indices.flatMap { matrix in rows[matrix].indices.map { (matrix: matrix, block: $0) } }
        let done = Mutex<[[Int: RowBlockSums]]>(matrices.map { _ in [:] })
        let other = Mutex<Result?>(nil)
        try ParallelWork.forEach(places.count + 1) { item in
            guard item > 0 else {
                let result = try work()
                return other.withLock { $0 = result }
            }
            let place = places[item - 1]
            let block = try Self.block(rows[place.matrix][place.block], of: matrices[place.matrix])
            done.withLock { $0[place.matrix][place.block] = block }
        }
        let found = done.withLock { $0 }
        let sums = matrices.indices.map { matrix in
            RowSums(matrices[matrix], rows[matrix], rows[matrix].indices.compactMap { found[matrix][$0] })
        }
        guard let result = other.withLock({ $0 }) else { preconditionFailure("the work has not run") }
        return (sums, result)
    }

    static func block(_ rows: Range<Int>, of matrix: TensorRows) throws -> RowBlockSums {
        let columns = matrix.columns
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * columns)
        defer { values.deallocate() }
        try matrix.readRows(rows, into: values)
        var sum = [Double](repeating: 0, count: columns)
        let squares = sum.withUnsafeMutableBufferPointer { sum in
            (0..<rows.count).map {
                add(UnsafeBufferPointer(rebasing: values[$0 * columns..<($0 + 1) * columns]), to: sum)
            }
        }
        return RowBlockSums(sum: sum, squares: squares)
    }

    /// Adds a row to `sum`, `[columns]`.
    ///
    /// - Returns: the sum of its squares, accumulated in four lanes.
    private static func add(_ row: UnsafeBufferPointer<Float>, to sum: UnsafeMutableBufferPointer<Double>) -> Double {
        guard let source = row.baseAddress, let target = sum.baseAddress else { return 0 }
        var squares = SIMD4<Double>.zero
        let blocks = row.count / 4
        for block in 0..<blocks {
            let place = 4 * block
            let value = SIMD4<Double>(
                UnsafeRawPointer(source + place).loadUnaligned(as: SIMD4<Float>.self))
            let old = UnsafeRawPointer(target + place).loadUnaligned(as: SIMD4<Double>.self)
            UnsafeMutableRawPointer(target + place).storeBytes(of: old + value, as: SIMD4<Double>.self)
            squares += value * value
        }
        var rest = 0.0
        for column in 4 * blocks..<row.count {
            let value = Double(source[column])
            target[column] += value
            rest += value * value
        }
        return squares.sum() + rest
    }
}

/// The mean row and the norms of the used rows of a vocabulary matrix.
struct RowStatistics: Sendable {
    /// Mean of the used rows, `[columns]`.
    let mean: [Float]
    /// Norms of the used rows, ascending.
    let sortedNorms: [Float]

    /// Computes the statistics of the rows in `used` that are not zero.
    init(_ sums: RowSums, used: Range<Int>) throws {
        var total = [Double](repeating: 0, count: sums.matrix.columns)
        var norms: [Float] = []
        // RowBlockSums after block, so that the result does not depend on the number of threads.
        for (rows, whole) in zip(sums.rows, sums.blocks) {
            let part = rows.clamped(to: used)
            guard !part.isEmpty else { continue }
            let block = part == rows ? whole : try RowSums.block(part, of: sums.matrix)
            for column in total.indices { total[column] += block.sum[column] }
            norms += block.squares.filter { $0 > 0 && $0.isFinite }.map { Float($0.squareRoot()) }
        }
        let count = Double(max(norms.count, 1))
        mean = total.map { Float($0 / count) }
        sortedNorms = norms.sorted()
    }

    /// The quantile of the norms at `fraction` (0 to 1), interpolated linearly; 0 for an empty vocabulary.
    func norm(atQuantile fraction: Double) -> Float {
        guard !sortedNorms.isEmpty else { return 0 }
        let position = fraction * Double(sortedNorms.count - 1)
        let lower = Int(position)
        let upper = min(lower + 1, sortedNorms.count - 1)
        let weight = Float(position - Double(lower))
        return sortedNorms[lower] * (1 - weight) + sortedNorms[upper] * weight
    }

    /// The share of rows with a smaller norm, 0 to 1.
    func quantile(ofNorm norm: Float) -> Double {
        guard !sortedNorms.isEmpty else { return 0 }
        var low = 0
        var high = sortedNorms.count
        while low < high {
            let middle = (low + high) / 2
            if sortedNorms[middle] < norm { low = middle + 1 } else { high = middle }
        }
        return Double(low) / Double(sortedNorms.count)
    }
}
