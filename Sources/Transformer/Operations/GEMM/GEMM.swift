import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ (+ c if `accumulating`): a layer applied to m rows, with weights `[outputs, inputs]`.
///
/// `b` may be in bfloat16. A row of the result has the same bits for every m on processors with AVX2, unless
/// `favorsFewRows`, which is faster for 8 rows and fewer.
package func gemmNT(
    _ a: Matrix, _ b: Matrix, into c: Matrix, accumulating: Bool = false, team: ThreadTeam,
    precision: ProductPrecision = .fp32, favorsFewRows: Bool = false
) {
    GEMM(.nt, a, b, c, accumulating: accumulating, precision).runForward(team, favorsFewRows: favorsFewRows)
}

/// c[m, n] = a[m, k] b[k, n] (+ c if `accumulating`): the gradient of a layer's input.
///
/// `b` may be in bfloat16.
package func gemmNN(
    _ a: Matrix, _ b: Matrix, into c: Matrix, accumulating: Bool = false, team: ThreadTeam,
    precision: ProductPrecision = .fp32
) {
    GEMM(.nn, a, b, c, accumulating: accumulating, precision).run(team)
}

/// c[m, n] = a[k, m]ᵀ b[k, n] (+ c if `accumulating`): the gradient of a layer's weights, summed over k rows.
package func gemmTN(
    _ a: Matrix, _ b: Matrix, into c: Matrix, accumulating: Bool = false, team: ThreadTeam,
    precision: ProductPrecision = .fp32
) {
    GEMM(.tn, a, b, c, accumulating: accumulating, precision).run(team)
}

/// One product c[m, n] = op(a)[m, k] op(b)[k, n] (+ c), and the choice of the kernel that computes it.
struct GEMM {
    /// Which operands are transposed: N is an operand as stored, T its transpose.
    enum Transposition { case nn, nt, tn }

    let transposition: Transposition
    let a: Matrix
    let b: Matrix
    let c: Matrix
    let accumulating: Bool
    /// That of the operands; small layers are always computed in float32.
    let precision: ProductPrecision
    let m: Int
    let n: Int
    let k: Int

    init(
        _ transposition: Transposition, _ a: Matrix, _ b: Matrix, _ c: Matrix, accumulating: Bool,
        _ precision: ProductPrecision
    ) {
        self.transposition = transposition
        self.a = a
        self.b = b
        self.c = c
        self.accumulating = accumulating
        self.precision = precision
        (m, k) = transposition == .tn ? (a.columns, a.rows) : (a.rows, a.columns)
        n = transposition == .nt ? b.rows : b.columns
        precondition(
            (transposition == .nt ? b.columns : b.rows) == k && c.rows == m && c.columns == n,
            "shapes of a matrix product do not match")
    }

    /// The sizes of the layer that the product belongs to: inputs and outputs are those of its weights, and `rows` is
    /// the number of tokens.
    private var layer: (inputs: Int, outputs: Int, rows: Int) {
        switch transposition {
        case .nt: (k, n, m)
        case .nn: (n, k, m)
        case .tn: (n, m, k)
        }
    }

    /// Computes a layer's outputs (`nt`) with the first kernel that supports it.
    ///
    /// The packed kernels sum in the same order, so that the number of rows, by which one is chosen, changes no bit.
    func runForward(_ team: ThreadTeam, favorsFewRows: Bool) {
        guard m > 0, n > 0 else { return }
        if favorsFewRows, SkinnyGEMM.supports(m, n, k, precision) { return SkinnyGEMM.multiply(team, self) }
        // Small layers are computed in float32 whatever the precision, as in the backward pass.
        let own = PackedGEMM.isLarge(inputs: k, outputs: n) ? self : inFloat32
        if PackedLeftGEMM.supports(rows: m, own.precision) {
            PackedLeftGEMM.multiply(team, own)
        } else if PackedGEMM.isAvailable(own.precision) {
            PackedGEMM.multiply(team, own)
        } else {
            OpenBLASGEMM.multiply(team, self)
        }
    }

    private var inFloat32: GEMM { GEMM(transposition, a, b, c, accumulating: accumulating, .fp32) }

    /// Computes a product of the backward pass with the first kernel that supports it.
    ///
    /// OpenBLAS takes what the other kernels do not support, in float32 whatever the precision.
    func run(_ team: ThreadTeam) {
        guard m > 0, n > 0 else { return }
        if PackedGEMM.supports(inputs: layer.inputs, outputs: layer.outputs, rows: layer.rows, precision) {
            PackedGEMM.multiply(team, self)
        } else {
            OpenBLASGEMM.multiply(team, self)
        }
    }
}

extension ThreadTeam {
    /// Cuts the n columns of a product with sums of k terms, whose weights come from memory, into ranges.
    ///
    /// Threads wait for memory, some longer than others, so each takes the next range when it has finished one. Long
    /// ranges come first, because prefetching works within a range only; the last ranges are short, because all threads
    /// wait for the last one. Lengths are multiples of `step`.
    func columnRanges(of n: Int, _ k: Int, step: Int) -> [Range<Int>] {
        if size == 1 { return [0..<n] }
        let leastWeights = 1 << 14
        let least = max(step, leastWeights / k / step * step)
        var ranges: [Range<Int>] = []
        var end = 0
        while end < n {
            let first = end
            end = min(n, end + max(least, (n - end) / (2 * size) / step * step))
            ranges.append(first..<end)
        }
        return ranges
    }
}
