/// A scaled product s·B·A of two narrow matrices, to be added to a weight.
///
/// Sums over the rank run in ascending order, so the result is the same on every machine and for every range.
package struct LowRankProduct: Sendable {
    /// B `[rows, rank]`.
    let left: [Float]
    /// A `[rank, columns]`.
    let right: [Float]
    let rank: Int
    let columns: Int
    let scaling: Float

    /// Columns that are summed at a time, whose sums stay in the processor's cache.
    private static let blockWidth = 256

    /// Adds elements `range` of the product, counted row by row.
    func add(to values: UnsafeMutableBufferPointer<Float>, elements range: Range<Int>) {
        guard columns > 0, !range.isEmpty, let output = values.baseAddress else { return }
        left.withUnsafeBufferPointer { left in
            right.withUnsafeBufferPointer { right in
                guard let left = left.baseAddress, let right = right.baseAddress else { return }
                for row in range.lowerBound / columns...(range.upperBound - 1) / columns {
                    let part = (row * columns..<(row + 1) * columns).clamped(to: range)
                    Self.addRow(
                        left + row * rank, right + (part.lowerBound - row * columns), stride: columns, rank: rank,
                        scaling, to: output + (part.lowerBound - range.lowerBound), count: part.count)
                }
            }
        }
    }

    /// Adds `count` elements of one row of the product.
    ///
    /// - Parameters:
    ///   - left: the row of B `[rank]`.
    ///   - right: A from the first of the columns on.
    ///   - columns: the elements from one row of A to the next.
    ///   - rank: the rows of A.
    ///   - scaling: the factor of the product.
    ///   - output: the elements of the weight.
    ///   - count: the number of columns.
    package static func addRow(
        _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, stride columns: Int, rank: Int, _ scaling: Float,
        to output: UnsafeMutablePointer<Float>, count: Int
    ) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: blockWidth) { buffer in
            guard let sums = buffer.baseAddress else { return }
            for first in Swift.stride(from: 0, to: count, by: blockWidth) {
                let width = min(blockWidth, count - first)
                sums.update(repeating: 0, count: width)
                for index in 0..<rank {
                    let factor = left[index]
                    let line = right + (index * columns + first)
                    for column in 0..<width { sums[column] += factor * line[column] }
                }
                for column in 0..<width { output[first + column] += scaling * sums[column] }
            }
        }
    }
}
