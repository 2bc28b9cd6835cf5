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
    /// `places` holds the rows of `tableGradient` by token, if it has rows for some tokens only. `roundingKey` gives
    /// the key of the random words if `tableGradient` is in bfloat16.
    static func backward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, dx: UnsafePointer<Float>,
        tableGradient: Matrix, places: [Int: Int]? = nil, roundingKey: () -> UInt64
    ) {
        switch tableGradient.elements {
        case .float32(let sums):
            backward(team, tokens, width: width, dx: dx, tableGradient: sums, places: places)
        case .bfloat16(let halves):
            let sums = UnsafeMutablePointer(mutating: halves)
            let key = roundingKey()
            forEachTile(team, tokens.count, width) { columns in
                for (row, token) in tokens.enumerated() {
                    guard let place = places.map({ $0[token] }) ?? token else { continue }
                    Quantization.add(
                        dx + row * width + columns.lowerBound, into: sums + place * width + columns.lowerBound,
                        columns.count, key, index: row * width + columns.lowerBound)
                }
            }
        }
    }

    private static func backward(
        _ team: ThreadTeam, _ tokens: UnsafeBufferPointer<Int>, width: Int, dx: UnsafePointer<Float>,
        tableGradient: UnsafeMutablePointer<Float>, places: [Int: Int]?
    ) {
        if let places {
            for (row, token) in tokens.enumerated() {
                guard let place = places[token] else { continue }
                VectorMath.add(dx + row * width, into: tableGradient + place * width, width)
            }
            return
        }
        forEachTile(team, tokens.count, width) { columns in
            let start = columns.lowerBound
            for (row, token) in tokens.enumerated() {
                VectorMath.add(dx + row * width + start, into: tableGradient + token * width + start, columns.count)
            }
        }
    }

    /// Threads share out columns, so that the order of each sum is that of the tokens.
    private static func forEachTile(
        _ team: ThreadTeam, _ tokens: Int, _ width: Int, _ body: (_ columns: Range<Int>) -> Void
    ) {
        team.split((width + 15) / 16, grain: max(1, 16_384 / max(1, tokens))) { range, _ in
            body(range.lowerBound * 16..<min(width, range.upperBound * 16))
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
