import Parallel

/// Products by OpenBLAS, which runs on the calling thread; the team shares out columns or rows of the result.
///
/// Weights in bfloat16 are converted to float32 in blocks that stay in cache.
enum OpenBLASGEMM {
    /// Below this many multiplications handing work to another thread costs more than it saves.
    private static let sharedFrom = 100_000
    /// bfloat16 weights converted at a time.
    private static let blockFloats = 1 << 17
    /// bfloat16 weights of all columns converted at a time.
    private static let scratchFloats = 1 << 22
    private static let scratch = SharedScratch()
    /// At most this many rows are multiplied with bfloat16 weights without converting those first.
    private static let directRows = 2

    static func multiply(_ team: ThreadTeam, _ product: GEMM) {
        switch product.b.elements {
        case .float32(let b): multiply(team, product, b)
        case .bfloat16(let b):
            precondition(product.transposition != .tn, "the factors of a weight's gradient are not in bfloat16")
            if product.transposition == .nn {
                multiplyRows(team, product, b)
            } else if product.m <= directRows {
                multiplyDirectly(team, product, b)
            } else {
                multiplyBlocks(team, product, b)
            }
        }
    }

    /// Converts the rows of b[k, n] to float32, as many at a time as the scratch memory holds.
    private static func multiplyRows(_ team: ThreadTeam, _ product: GEMM, _ b: UnsafePointer<UInt16>) {
        let (n, k, a) = (product.n, product.k, product.a)
        let most = max(1, min(k, scratchFloats / n))
        scratch.withFloats(most * n) { wide in
            for first in stride(from: 0, to: k, by: most) {
                let count = min(most, k - first)
                team.split(count, grain: max(1, 65_536 / n)) { rows, _ in
                    for row in rows {
                        BFloat16.widen(b + (first + row) * product.b.stride, into: wide + row * n, n)
                    }
                }
                let left = Matrix(reading: a.floats + first, rows: product.m, columns: count, stride: a.stride)
                let right = Matrix(reading: wide, rows: count, columns: n)
                multiply(
                    team, GEMM(.nn, left, right, product.c, accumulating: product.accumulating || first > 0, .fp32))
            }
        }
    }

    private static func multiply(_ team: ThreadTeam, _ product: GEMM, _ b: UnsafePointer<Float>) {
        let (k, lda, ldb, ldc) = (product.k, product.a.stride, product.b.stride, product.c.stride)
        let transposesLeft = product.transposition == .tn
        let transposesRight = product.transposition == .nt
        let beta: Float = product.accumulating ? 1 : 0
        let (a, c) = (product.a.floats, product.c.floats)
        let library = OpenBLAS.shared
        shareOut(team, product) { rows, columns in
            let left = a + rows.lowerBound * (transposesLeft ? 1 : lda)
            let right = b + columns.lowerBound * (transposesRight ? ldb : 1)
            let target = c + rows.lowerBound * ldc + columns.lowerBound
            if transposesRight && rows.count == 1 {
                library.sgemv(
                    OpenBLAS.rowMajor, OpenBLAS.asStored, Int32(columns.count), Int32(k), 1, right, Int32(ldb), left, 1,
                    beta, target, 1)
            } else {
                library.sgemm(
                    OpenBLAS.rowMajor, transposesLeft ? OpenBLAS.transposed : OpenBLAS.asStored,
                    transposesRight ? OpenBLAS.transposed : OpenBLAS.asStored, Int32(rows.count), Int32(columns.count),
                    Int32(k), 1, left, Int32(lda), right, Int32(ldb), beta, target, Int32(ldc))
            }
        }
    }

    /// Hands each member of the team some columns of the result, or some rows if there are many more of those.
    @inline(__always)
    private static func shareOut(
        _ team: ThreadTeam, _ product: GEMM, _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void
    ) {
        let (m, n) = (product.m, product.n)
        if team.size == 1 || m * n * product.k < sharedFrom {
            body(0..<m, 0..<n)
        } else if n >= 32 && n * 4 >= m {
            team.split((n + 15) / 16, grain: 1) { range, _ in
                body(0..<m, (range.lowerBound * 16)..<min(n, range.upperBound * 16))
            }
        } else {
            team.split((m + 7) / 8, grain: 1) { range, _ in
                body((range.lowerBound * 8)..<min(m, range.upperBound * 8), 0..<n)
            }
        }
    }

    private static func multiplyDirectly(_ team: ThreadTeam, _ product: GEMM, _ b: UnsafePointer<UInt16>) {
        let (k, a, c) = (product.k, product.a, product.c)
        team.split(product.n, grain: max(1, 65_536 / k)) { columns, _ in
            for column in columns {
                for row in 0..<product.m {
                    let sum = dot(a.floats + row * a.stride, b + column * product.b.stride, k)
                    let target = c.floats + (row * c.stride + column)
                    target.pointee = product.accumulating ? target.pointee + sum : sum
                }
            }
        }
    }

    private static func multiplyBlocks(_ team: ThreadTeam, _ product: GEMM, _ b: UnsafePointer<UInt16>) {
        let library = OpenBLAS.shared
        let (n, k, a, c) = (product.n, product.k, product.a, product.c)
        let block = max(16, blockFloats / k)
        let blocks = (n + block - 1) / block
        team.split(blocks, grain: 1) { range, _ in
            let wide = Floats.allocate(capacity: min(n, block) * k)
            defer { wide.deallocate() }
            for index in range {
                let first = index * block
                let count = min(block, n - first)
                for row in 0..<count {
                    BFloat16.widen(b + (first + row) * product.b.stride, into: wide + row * k, k)
                }
                library.sgemm(
                    OpenBLAS.rowMajor, OpenBLAS.asStored, OpenBLAS.transposed, Int32(product.m), Int32(count), Int32(k),
                    1, a.floats, Int32(a.stride), wide, Int32(k), product.accumulating ? 1 : 0, c.floats + first,
                    Int32(c.stride))
            }
        }
    }

    @inline(__always)
    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<UInt16>, _ count: Int) -> Float {
        var first = Vector8.zero
        var second = Vector8.zero
        var i = 0
        while i + 16 <= count {
            first += load(a, i) * BFloat16.load(b, i)
            second += load(a, i + 8) * BFloat16.load(b, i + 8)
            i += 16
        }
        var sum = horizontalSum(first + second)
        while i < count {
            sum += a[i] * BFloat16.widened(b[i])
            i += 1
        }
        return sum
    }
}
