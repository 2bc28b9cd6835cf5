import COpenBLAS
import Parallel

/// Products of row-major matrices: those of large ones by `PackedProduct`, those of fewer rows with many weights by
/// `FewRowsProduct` and `PanelProduct`, the rest by OpenBLAS, for which the team shares out columns or rows of the result.
/// The latter are in float32 whatever the precision.
package enum MatrixProduct {
    /// Below this many multiplications handing work to another thread costs more than it saves.
    private static let sharedFrom = 100_000

    /// c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0): a layer applied to rows, with weights `[outputs, inputs]`.
    package static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, scale: Float = 1, adding: Bool = false,
        precision: ProductPrecision = .fp32
    ) {
        guard m > 0, n > 0 else { return }
        if scale == 1, FewRowsProduct.suits(m, n, k, precision) {
            return FewRowsProduct.timesTransposed(
                team, m, n, k, a, lda, b, ldb, c, ldc, adding: adding, precision)
        }
        if scale == 1, PanelProduct.suits(m, n, k, precision) {
            return PanelProduct.timesTransposed(
                team, m, n, k, a, lda, b, ldb, c, ldc, adding: adding, precision)
        }
        if scale == 1, PackedProduct.suits(inputs: k, outputs: n, rows: m, precision) {
            return PackedProduct.multiply(
                team, m, n, k, .init(a, lda), .float32(.init(b, ldb, isTransposed: true)), c, ldc, adding: adding,
                precision)
        }
        let beta: Float = adding ? 1 : 0
        cut(team, m, n, k) { rows, columns in
            if rows.count == 1 {
                cblas_sgemv(
                    CblasRowMajor, CblasNoTrans, blasint(columns.count), blasint(k), scale,
                    b + columns.lowerBound * ldb,
                    blasint(ldb), a + rows.lowerBound * lda, 1, beta, c + rows.lowerBound * ldc + columns.lowerBound, 1)
            } else {
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows.count), blasint(columns.count), blasint(k),
                    scale, a + rows.lowerBound * lda, blasint(lda), b + columns.lowerBound * ldb, blasint(ldb), beta,
                    c + rows.lowerBound * ldc + columns.lowerBound, blasint(ldc))
            }
        }
    }

    /// c[m, n] = a[m, k] b[k, n] + (adding ? c : 0): gradients carried back through a layer.
    package static func times(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, scale: Float = 1, adding: Bool = false,
        precision: ProductPrecision = .fp32
    ) {
        guard m > 0, n > 0 else { return }
        if scale == 1, PackedProduct.suits(inputs: n, outputs: k, rows: m, precision) {
            return PackedProduct.multiply(
                team, m, n, k, .init(a, lda), .float32(.init(b, ldb)), c, ldc, adding: adding, precision)
        }
        cut(team, m, n, k) { rows, columns in
            cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows.count), blasint(columns.count), blasint(k),
                scale, a + rows.lowerBound * lda, blasint(lda), b + columns.lowerBound, blasint(ldb), adding ? 1 : 0,
                c + rows.lowerBound * ldc + columns.lowerBound, blasint(ldc))
        }
    }

    /// c[m, n] = a[k, m]ᵀ b[k, n] + (adding ? c : 0): gradients of a layer's weights, summed over k rows.
    package static func transposedTimes(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, scale: Float = 1, adding: Bool = false,
        precision: ProductPrecision = .fp32
    ) {
        guard m > 0, n > 0 else { return }
        if scale == 1, PackedProduct.suits(inputs: n, outputs: m, rows: k, precision) {
            return PackedProduct.multiply(
                team, m, n, k, .init(a, lda, isTransposed: true), .float32(.init(b, ldb)), c, ldc, adding: adding,
                precision)
        }
        cut(team, m, n, k) { rows, columns in
            cblas_sgemm(
                CblasRowMajor, CblasTrans, CblasNoTrans, blasint(rows.count), blasint(columns.count), blasint(k), scale,
                a + rows.lowerBound, blasint(lda), b + columns.lowerBound, blasint(ldb), adding ? 1 : 0,
                c + rows.lowerBound * ldc + columns.lowerBound, blasint(ldc))
        }
    }

    /// Hands each member of the team some columns of the result, or some rows where there are many more of those.
    @inline(__always)
    private static func cut(_ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ body: (Range<Int>, Range<Int>) -> Void) {
        _ = EngineThreads.openBLASRunsOnCaller
        if team.size == 1 || m * n * k < sharedFrom {
            body(0..<m, 0..<n)
        } else if n >= 32 && n * 4 >= m {
            let tiles = (n + 15) / 16
            team.split(tiles, grain: 1) { range, _ in
                body(0..<m, (range.lowerBound * 16)..<min(n, range.upperBound * 16))
            }
        } else {
            team.split((m + 7) / 8, grain: 1) { range, _ in
                body((range.lowerBound * 8)..<min(m, range.upperBound * 8), 0..<n)
            }
        }
    }

    /// `timesTransposed` by the definition, summed in double precision.
    package static func naiveTimesTransposed(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Float] {
        var c = [Float](repeating: 0, count: m * n)
        for i in 0..<m {
            for j in 0..<n {
                var sum = 0.0
                for l in 0..<k { sum += Double(a[i * k + l]) * Double(b[j * k + l]) }
                c[i * n + j] = Float(sum)
            }
        }
        return c
    }
}
