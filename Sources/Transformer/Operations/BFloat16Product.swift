import COpenBLAS
import Foundation
import Parallel

/// Products with weights stored in bfloat16: read at half the bytes, computed in float32 unless told otherwise.
///
/// A few rows meet the weights as they stream by (`FewRowsProduct`, `PanelProduct`), for more they are packed as they are
/// (`PackedProduct`). Where neither is there, or the matrix is small, blocks of weights are widened into a buffer that stays
/// in cache and multiplied by OpenBLAS.
package enum BFloat16Product {
    /// Weights widened at a time.
    private static let blockFloats = 1 << 17
    /// Up to so many rows are multiplied directly.
    private static let directRows = 2

    /// c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0), rows of b tightly packed.
    package static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<UInt16>,
        _ c: UnsafeMutablePointer<Float>, _ ldc: Int, adding: Bool = false, precision: ProductPrecision = .fp32
    ) {
        guard m > 0, n > 0 else { return }
        if FewRowsProduct.suits(m, n, k, precision) {
            return FewRowsProduct.timesTransposed(
                team, m, n, k, a, lda, b, k, c, ldc, adding: adding, precision)
        }
        if PanelProduct.suits(m, n, k, precision) {
            return PanelProduct.timesTransposed(
                team, m, n, k, a, lda, b, k, c, ldc, adding: adding, precision)
        }
        if PackedProduct.suits(inputs: k, outputs: n, rows: m, precision) {
            return PackedProduct.multiply(
                team, m, n, k, .init(a, lda), .bfloat16Transposed(b, stride: k), c, ldc, adding: adding, precision)
        }
        if m <= directRows {
            team.split(n, grain: max(1, 65_536 / k)) { columns, _ in
                for column in columns {
                    for row in 0..<m {
                        let sum = dot(a + row * lda, b + column * k, k)
                        c[row * ldc + column] = adding ? c[row * ldc + column] + sum : sum
                    }
                }
            }
            return
        }
        _ = EngineThreads.openBLASRunsOnCaller
        let block = max(16, blockFloats / k)
        let blocks = (n + block - 1) / block
        team.split(blocks, grain: 1) { range, _ in
            let wide = UnsafeMutablePointer<Float>.allocate(capacity: min(n, block) * k)
            defer { wide.deallocate() }
            for index in range {
                let first = index * block
                let count = min(block, n - first)
                widen(b + first * k, into: wide, count * k)
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, blasint(m), blasint(count), blasint(k), 1, a, blasint(lda),
                    wide, blasint(k), adding ? 1 : 0, c + first, blasint(ldc))
            }
        }
    }

    /// The upper half of a float32's bits is its bfloat16.
    @inline(__always)
    private static func lane(_ p: UnsafePointer<UInt16>, _ i: Int) -> Lane {
        let halves = UnsafeRawPointer(p + i).loadUnaligned(as: SIMD8<UInt16>.self)
        return unsafeBitCast(SIMD8<UInt32>(truncatingIfNeeded: halves) &<< 16, to: Lane.self)
    }

    @inline(__always)
    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<UInt16>, _ count: Int) -> Float {
        var first = Lane.zero
        var second = Lane.zero
        var i = 0
        while i + 16 <= count {
            first += load(a, i) * lane(b, i)
            second += load(a, i + 8) * lane(b, i + 8)
            i += 16
        }
        var sum = total(first + second)
        while i < count {
            sum += a[i] * Float(bitPattern: UInt32(b[i]) << 16)
            i += 1
        }
        return sum
    }

    package static func widen(_ b: UnsafePointer<UInt16>, into floats: UnsafeMutablePointer<Float>, _ count: Int) {
        var i = 0
        while i + 8 <= count {
            store(lane(b, i), floats, i)
            i += 8
        }
        while i < count {
            floats[i] = Float(bitPattern: UInt32(b[i]) << 16)
            i += 1
        }
    }
}
