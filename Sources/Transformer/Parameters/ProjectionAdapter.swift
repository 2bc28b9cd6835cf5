import Parallel

/// The inputs of adapters that are left out in one forward and backward pass (Srivastava et al., 2014).
///
/// What is left out depends on this key, the adapter, the row and the column only, so the backward pass finds it again.
struct AdapterDropout {
    var rate: Double
    var seed: UInt64
    var step: Int
    /// The number of the pass in the step.
    var pass: Int
    /// The first row of the inputs among those of the pass.
    var firstRow = 0

    /// The same for inputs from `row` on.
    func fromRow(_ row: Int) -> AdapterDropout {
        var dropout = self
        dropout.firstRow = row
        return dropout
    }

    /// Writes the inputs `x` `[rows, columns]`, of which `first` is the first row, with what is left out set to 0.
    ///
    /// The rest is scaled by 1 / (1 − rate).
    func apply(
        _ team: ThreadTeam, adapter: Int, from first: Int, rows: Int, columns: Int, _ x: UnsafePointer<Float>,
        into y: Floats
    ) {
        let stream = CounterRandom.Stream(seed: seed, step, pass, adapter)
        let scale = Float(1 / (1 - rate))
        team.split(rows, grain: max(1, 8192 / columns)) { range, _ in
            for row in range {
                let (x, y) = (x + row * columns, y + row * columns)
                let counter = (firstRow + first + row) * columns
                for column in 0..<columns {
                    y[column] = stream.uniform(counter + column) < rate ? 0 : x[column] * scale
                }
            }
        }
    }
}

/// The LoRA adapter of one weight of a projection: y += s (x Aᵀ) Bᵀ for some columns of y.
struct ProjectionAdapter {
    /// Rows computed at once, which bounds scratch memory.
    private static let rowsAtOnce = 1024
    private static let scratch = SharedScratch()

    /// The name of the weight.
    let name: String
    /// A `[rank, inputs]`.
    let a: Matrix
    /// B `[outputs, rank]`.
    let b: Matrix
    let scaling: Float
    /// The first column of y.
    let column: Int
    /// The number of the adapter in the model.
    let index: Int

    /// Calls `body` for ranges of rows with their inputs, without what `dropout` leaves out, and scratch for two
    /// matrices `[rows, rank]` and one like the inputs.
    private func forEachRange(
        _ team: ThreadTeam, rows: Int, _ x: UnsafePointer<Float>?, _ dropout: AdapterDropout?,
        _ body: (_ first: Int, _ rows: Int, _ inputs: UnsafePointer<Float>, _ low: (Floats, Floats), _ wide: Floats) ->
            Void
    ) {
        let most = min(rows, Self.rowsAtOnce)
        let (rank, inputs) = (a.rows, a.columns)
        Self.scratch.withFloats(max(1, most * (2 * rank + (dropout == nil ? 0 : inputs)))) { scratch in
            let wide = scratch + 2 * most * rank
            for first in stride(from: 0, to: rows, by: most) {
                let count = min(most, rows - first)
                var input = UnsafePointer(wide)
                if let x {
                    input = x + first * inputs
                    if let dropout {
                        dropout.apply(
                            team, adapter: index, from: first, rows: count, columns: inputs, input, into: wide)
                        input = UnsafePointer(wide)
                    }
                }
                body(first, count, input, (scratch, scratch + most * rank), wide)
            }
        }
    }

    private func scale(_ values: Floats, _ count: Int) {
        for i in 0..<count { values[i] *= scaling }
    }

    /// Computes low `[rows, rank]` = s x Aᵀ.
    private func project(_ team: ThreadTeam, rows: Int, _ x: UnsafePointer<Float>, into low: Floats) {
        gemmNT(
            Matrix(reading: x, rows: rows, columns: a.columns), a, into: Matrix(low, rows: rows, columns: a.rows),
            accumulating: false, team: team, precision: .fp32)
        scale(low, rows * a.rows)
    }

    /// Computes low `[rows, rank]` = s dy B, for dy at its first column.
    private func projectBack(
        _ team: ThreadTeam, rows: Int, _ dy: UnsafePointer<Float>, stride: Int, into low: Floats
    ) {
        gemmNN(
            Matrix(reading: dy, rows: rows, columns: b.rows, stride: stride), b,
            into: Matrix(low, rows: rows, columns: b.columns), accumulating: false, team: team, precision: .fp32)
        scale(low, rows * b.columns)
    }

    /// Adds to y `[rows, stride]` for x `[rows, inputs]`.
    func forward(
        _ team: ThreadTeam, rows: Int, _ x: UnsafePointer<Float>, into y: Floats, stride: Int,
        _ dropout: AdapterDropout?
    ) {
        forEachRange(team, rows: rows, x, dropout) { first, count, x, low, _ in
            project(team, rows: count, x, into: low.0)
            gemmNT(
                Matrix(low.0, rows: count, columns: b.columns), b,
                into: Matrix(y + (first * stride + column), rows: count, columns: b.rows, stride: stride),
                accumulating: true, team: team, precision: .fp32)
        }
    }

    /// Adds to dx `[rows, inputs]` for dy `[rows, stride]`.
    func backwardInput(
        _ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, stride: Int, into dx: Floats,
        _ dropout: AdapterDropout?
    ) {
        let inputs = a.columns
        forEachRange(team, rows: rows, nil, dropout) { first, count, _, low, wide in
            projectBack(team, rows: count, dy + (first * stride + column), stride: stride, into: low.0)
            let dx = dx + first * inputs
            gemmNN(
                Matrix(low.0, rows: count, columns: a.rows), a,
                into: Matrix(dropout == nil ? dx : wide, rows: count, columns: inputs), accumulating: dropout == nil,
                team: team, precision: .fp32)
            guard let dropout else { return }
            dropout.apply(team, adapter: index, from: first, rows: count, columns: inputs, wide, into: wide)
            team.split(count, grain: max(1, 65_536 / inputs)) { range, _ in
                VectorMath.add(
                    wide + range.lowerBound * inputs, into: dx + range.lowerBound * inputs, range.count * inputs)
            }
        }
    }

    /// Adds to the gradients of A and B for dy `[rows, stride]` and x `[rows, inputs]`.
    func accumulateGradients(
        _ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, stride: Int, x: UnsafePointer<Float>,
        a gradientA: Matrix, b gradientB: Matrix, _ dropout: AdapterDropout?
    ) {
        forEachRange(team, rows: rows, x, dropout) { first, count, x, low, _ in
            let dy = dy + (first * stride + column)
            projectBack(team, rows: count, dy, stride: stride, into: low.0)
            gemmTN(
                Matrix(low.0, rows: count, columns: a.rows), Matrix(reading: x, rows: count, columns: a.columns),
                into: gradientA, accumulating: true, team: team, precision: .fp32)
            project(team, rows: count, x, into: low.1)
            gemmTN(
                Matrix(reading: dy, rows: count, columns: b.rows, stride: stride),
                Matrix(low.1, rows: count, columns: a.rows), into: gradientB, accumulating: true, team: team,
                precision: .fp32)
        }
    }
}
