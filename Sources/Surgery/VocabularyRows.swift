import CheckpointIO
import Parallel
import Synchronization

/// Sums and squared norms of all rows of a vocabulary matrix, before it is known which of them tokens use.
struct RowSums: Sendable {
    /// A block of rows: their sum, `[columns]`, and each one's squared norm.
    struct Block: Sendable {
        var sum: [Double]
        var squares: [Double]
    }

    let matrix: TensorRows
    let rows: [Range<Int>]
    let blocks: [Block]

    init(_ matrix: TensorRows) throws {
        self = try Self.all([matrix], beside: {}).sums[0]
    }

    private init(_ matrix: TensorRows, _ rows: [Range<Int>], _ blocks: [Block]) {
        self.matrix = matrix
        self.rows = rows
        self.blocks = blocks
    }

    /// Goes through the matrices on all cores but the one that `work` takes, and on that one too when it is done.
    static func all<Result: Sendable>(
        _ matrices: [TensorRows], beside work: @Sendable () throws -> Result
    ) throws -> (sums: [RowSums], result: Result) {
        let rows = matrices.map { $0.blocks(of: 0..<$0.rows) }
        let places = rows.indices.flatMap { matrix in rows[matrix].indices.map { (matrix: matrix, block: $0) } }
        let done = Mutex<[[Int: Block]]>(matrices.map { _ in [:] })
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
        return (sums, other.withLock { $0! })
    }

    static func block(_ rows: Range<Int>, of matrix: TensorRows) throws -> Block {
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
        return Block(sum: sum, squares: squares)
    }

    /// Adds a row to `sum`, `[columns]`.
    /// - Returns: the sum of its squares, in four running sums so that one addition need not wait for the last.
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

/// What the rows of a vocabulary matrix are like: the mean row and the norms of the rows that tokens use.
struct VocabularyRows: Sendable {
    /// Mean of the used rows, `[columns]`.
    let mean: [Float]
    /// Norms of the used rows, ascending.
    let sortedNorms: [Float]

    /// - Parameter used: rows that belong to a token; padding rows and rows that are all zero say nothing.
    init(_ sums: RowSums, used: Range<Int>) throws {
        var total = [Double](repeating: 0, count: sums.matrix.columns)
        var norms: [Float] = []
        // Block after block, so that the result does not depend on the number of threads.
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

    /// The norm under which the share `fraction` of the rows lies; 0 for an empty vocabulary.
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

/// The Euclidean norm of a row.
func euclideanNorm(_ row: [Float]) -> Float {
    Float(row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
}
