import Parallel

/// Rows of a table by token id, and gradients back into those rows.
package enum Embedding {
    static func forward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, table: WeightMatrix,
        into x: UnsafeMutablePointer<Float>
    ) {
        team.split(tokens.count, grain: max(1, 262_144 / width)) { range, _ in
            for row in range { table.copyRow(tokens[row], to: x + row * width) }
        }
    }

    /// Adds every row's gradient to its token's row, in token order; the team shares out columns.
    package static func backward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, dx: UnsafePointer<Float>,
        tableGradient: UnsafeMutablePointer<Float>
    ) {
        let tiles = (width + 15) / 16
        team.split(tiles, grain: max(1, 16_384 / max(1, tokens.count))) { range, _ in
            let start = range.lowerBound * 16
            let count = min(width, range.upperBound * 16) - start
            for (row, token) in tokens.enumerated() {
                VectorMath.add(dx + row * width + start, into: tableGradient + token * width + start, count)
            }
        }
    }
}

/// Biases: one row added to many, and its gradient.
package enum Bias {
    static func add(
        _ team: ThreadTeam, rows: Int, width: Int, _ bias: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
        stride: Int
    ) {
        team.split(rows, grain: max(1, 65_536 / width)) { range, _ in
            for row in range { VectorMath.add(bias, into: y + row * stride, width) }
        }
    }

    /// gradient += Σ over rows of dy
    static func accumulate(
        rows: Int, width: Int, _ dy: UnsafePointer<Float>, stride: Int, into gradient: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<rows { VectorMath.add(dy + row * stride, into: gradient, width) }
    }
}
