import Parallel

/// Rows of a matrix that are trained while the matrix is not, and stand for its rows.
struct ReplacedRows {
    /// The rows of the matrix, ascending.
    let rows: [Int]
    /// Their values `[rows, columns]`.
    let values: Matrix
    private static let scratch = SharedScratch()

    init(_ rows: [Int], _ values: Matrix) {
        self.rows = rows
        self.values = values
    }

    /// Overwrites the outputs of these rows in y `[count, stride]`, for a layer with inputs x `[count, columns]`.
    func forward(_ team: ThreadTeam, rows count: Int, _ x: UnsafePointer<Float>, into y: Floats, stride: Int) {
        let width = rows.count
        Self.scratch.withFloats(max(1, count * width)) { outputs in
            gemmNT(
                Matrix(reading: x, rows: count, columns: values.columns), values,
                into: Matrix(outputs, rows: count, columns: width), team: team)
            for line in 0..<count {
                for (place, row) in rows.enumerated() { y[line * stride + row] = outputs[line * width + place] }
            }
        }
    }

    /// dx `[count, columns]` = dy `[count, stride]` W, where `others` computes it with the rows of the matrix itself.
    ///
    /// dy is changed during the call.
    func backwardInput(
        _ team: ThreadTeam, rows count: Int, dy: Floats, stride: Int, into dx: Floats, others: () -> Void
    ) {
        let width = rows.count
        Self.scratch.withFloats(max(1, count * width)) { own in
            for line in 0..<count {
                for (place, row) in rows.enumerated() {
                    own[line * width + place] = dy[line * stride + row]
                    dy[line * stride + row] = 0
                }
            }
            others()
            gemmNN(
                Matrix(own, rows: count, columns: width), values,
                into: Matrix(dx, rows: count, columns: values.columns), accumulating: true, team: team)
            for line in 0..<count {
                for (place, row) in rows.enumerated() { dy[line * stride + row] = own[line * width + place] }
            }
        }
    }
}

/// The token embeddings.
struct EmbeddingTable {
    /// The table `[vocabulary, hidden]`.
    let matrix: Matrix
    /// The rows that stand for rows of the matrix, by token.
    private let replaced: [Int: Floats]

    init(_ matrix: Matrix, replaced: ReplacedRows?) {
        self.matrix = matrix
        guard let replaced else {
            self.replaced = [:]
            return
        }
        self.replaced = Dictionary(
            uniqueKeysWithValues: replaced.rows.enumerated().map { place, row in
                (row, replaced.values.floats + place * replaced.values.stride)
            })
    }

    /// Copies the embedding of a token `[hidden]`, converted to float32.
    @inline(__always)
    func copyRow(_ token: Int, to target: Floats) {
        if !replaced.isEmpty, let row = replaced[token] {
            target.update(from: row, count: matrix.columns)
        } else {
            matrix.copyRow(token, to: target)
        }
    }
}
