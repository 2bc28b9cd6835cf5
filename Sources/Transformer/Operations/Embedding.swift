import Parallel

/// x[i] = table[tokens[i]], and the gradient of the table.
enum Embedding {
    /// Copies the embeddings of `tokens` into `x` `[tokens, width]`.
    static func forward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, table: EmbeddingTable,
        into x: UnsafeMutablePointer<Float>
    ) {
        team.split(tokens.count, grain: max(1, 262_144 / width)) { range, _ in
            for row in range { table.copyRow(tokens[row], to: x + row * width) }
        }
    }

    /// Adds each row of `dx` `[tokens, width]` to its token's row of `tableGradient`, in the order of `tokens`.
    ///
    /// `places` holds the rows of `tableGradient` by token, if it has rows for some tokens only.
    static func backward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, dx: UnsafePointer<Float>,
        tableGradient: UnsafeMutablePointer<Float>, places: [Int: Int]? = nil
    ) {
        if let places {
            for (row, token) in tokens.enumerated() {
                guard let place = places[token] else { continue }
                VectorMath.add(dx + row * width, into: tableGradient + place * width, width)
            }
            return
        }
        // Threads share out columns, so that the order of each sum is that of the tokens.
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

/// Biases of linear layers.
enum Bias {
    /// y += bias, for every row of y `[rows, width]`.
    static func add(
        _ team: ThreadTeam, rows: Int, width: Int, _ bias: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
        stride: Int
    ) {
        team.split(rows, grain: max(1, 65_536 / width)) { range, _ in
            for row in range { VectorMath.add(bias, into: y + row * stride, width) }
        }
    }

    /// gradient += Σ dy, summed over the rows.
    static func accumulate(
        rows: Int, width: Int, _ dy: UnsafePointer<Float>, stride: Int, into gradient: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<rows { VectorMath.add(dy + row * stride, into: gradient, width) }
    }
}
