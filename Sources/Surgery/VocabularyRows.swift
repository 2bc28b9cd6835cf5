import CheckpointIO
import Synchronization

/// What the rows of a vocabulary matrix are like: the mean row and the norms of the rows that tokens use.
struct VocabularyRows: Sendable {
    /// Mean of the used rows, `[columns]`.
    let mean: [Float]
    /// Norms of the used rows, ascending.
    let sortedNorms: [Float]

    /// - Parameter used: rows that belong to a token; padding rows and rows that are all zero say nothing.
    init(_ matrix: TensorRows, used: Range<Int>) throws {
        let columns = matrix.columns
        let blocks = matrix.blocks(of: used)
        // Sums are kept by block and added in order, so that the result does not depend on the number of threads.
        let partial = Mutex<[Int: (sum: [Double], norms: [Float])]>([:])
        try forEachConcurrently(blocks.count) { block in
            let rows = blocks[block]
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * columns)
            defer { values.deallocate() }
            try matrix.readRows(rows, into: values)
            var sum = [Double](repeating: 0, count: columns)
            var norms: [Float] = []
            for row in 0..<rows.count {
                var square = 0.0
                for column in 0..<columns {
                    let value = Double(values[row * columns + column])
                    sum[column] += value
                    square += value * value
                }
                if square > 0, square.isFinite { norms.append(Float(square.squareRoot())) }
            }
            partial.withLock { $0[block] = (sum, norms) }
        }
        var total = [Double](repeating: 0, count: columns)
        var norms: [Float] = []
        let sums = partial.withLock { $0 }
        for block in blocks.indices {
            guard let part = sums[block] else { continue }
            for column in 0..<columns { total[column] += part.sum[column] }
            norms += part.norms
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
