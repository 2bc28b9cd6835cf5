import Parallel
import Testing
import Transformer

/// Matrix products against their definition, for every kernel.
@Suite struct GEMMTests {
    static let teams = [ThreadTeam.alone, ThreadTeam(size: 2), ThreadTeam.everyone]

    /// An operand as an array, in float32 or bfloat16.
    private enum Operand {
        case float32([Float])
        case bfloat16([UInt16])
    }

    /// Calls `product` with views of the operands and of c, and returns the new c.
    ///
    /// Rows of c are `padding` elements further apart than necessary; the elements between them must not change.
    private func result(
        _ a: [Float], _ aShape: (rows: Int, columns: Int), _ b: Operand, _ bShape: (rows: Int, columns: Int),
        adding c: [Float], columns n: Int, padding: Int = 0, _ product: (Matrix, Matrix, Matrix) -> Void
    ) -> [Float] {
        let m = c.count / n
        let stride = n + padding
        var target = [Float](repeating: 7, count: m * stride)
        for row in 0..<m { for column in 0..<n { target[row * stride + column] = c[row * n + column] } }
        a.withUnsafeBufferPointer { a in
            target.withUnsafeMutableBufferPointer { target in
                guard let aStart = a.baseAddress, let cStart = target.baseAddress else { return }
                let left = Matrix(reading: aStart, rows: aShape.rows, columns: aShape.columns)
                let into = Matrix(cStart, rows: m, columns: n, stride: stride)
                switch b {
                case .float32(let floats):
                    floats.withUnsafeBufferPointer { b in
                        guard let start = b.baseAddress else { return }
                        product(left, Matrix(reading: start, rows: bShape.rows, columns: bShape.columns), into)
                    }
                case .bfloat16(let halves):
                    halves.withUnsafeBufferPointer { b in
                        guard let start = b.baseAddress else { return }
                        product(left, Matrix(.bfloat16(start), rows: bShape.rows, columns: bShape.columns), into)
                    }
                }
            }
        }
        #expect((0..<m).allSatisfy { row in target[row * stride + n..<(row + 1) * stride].allSatisfy { $0 == 7 } })
        return (0..<m).flatMap { target[$0 * stride..<$0 * stride + n] }
    }

    /// c[m, n] = a[m, k] b[n, k]ᵀ, added to `c` if it is given.
    private func nt(
        _ a: [Float], _ b: Operand, _ m: Int, _ n: Int, _ k: Int, adding c: [Float]? = nil, padding: Int = 0,
        _ team: ThreadTeam, _ precision: ProductPrecision = .fp32, favorsFewRows: Bool = false
    ) -> [Float] {
        result(
            a, (m, k), b, (n, k), adding: c ?? [Float](repeating: 1, count: m * n), columns: n, padding: padding
        ) {
            gemmNT(
                $0, $1, into: $2, accumulating: c != nil, team: team, precision: precision,
                favorsFewRows: favorsFewRows)
        }
    }

    /// c[m, n] = a[m, k] b[k, n], added to `c` if it is given.
    private func nn(
        _ a: [Float], _ b: Operand, _ m: Int, _ n: Int, _ k: Int, adding c: [Float]? = nil, padding: Int = 0,
        _ team: ThreadTeam, _ precision: ProductPrecision = .fp32
    ) -> [Float] {
        result(
            a, (m, k), b, (k, n), adding: c ?? [Float](repeating: 1, count: m * n), columns: n,
            padding: padding
        ) { gemmNN($0, $1, into: $2, accumulating: c != nil, team: team, precision: precision) }
    }

    /// c[m, n] = a[k, m]ᵀ b[k, n], added to `c` if it is given.
    private func tn(
        _ a: [Float], _ b: [Float], _ m: Int, _ n: Int, _ k: Int, adding c: [Float]? = nil, padding: Int = 0,
        _ team: ThreadTeam, _ precision: ProductPrecision = .fp32
    ) -> [Float] {
        result(
            a, (k, m), .float32(b), (k, n), adding: c ?? [Float](repeating: 1, count: m * n), columns: n,
            padding: padding
        ) { gemmTN($0, $1, into: $2, accumulating: c != nil, team: team, precision: precision) }
    }

    @Test(arguments: [(1, 40, 17), (5, 33, 16), (70, 100, 31), (64, 512, 24), (300, 40, 16)])
    func smallProducts(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = Naive.gemmNT(a, b, m: m, n: n, k: k)
        let twice = expected.map { 2 * $0 }
        let bTransposed = Naive.transpose(b, rows: n, columns: k)
        let aTransposed = Naive.transpose(a, rows: m, columns: k)
        for team in Self.teams {
            #expect(relativeError(nt(a, .float32(b), m, n, k, team), expected) < 1e-5)
            #expect(relativeError(nt(a, .float32(b), m, n, k, adding: expected, team), twice) < 1e-5)
            #expect(relativeError(nn(a, .float32(bTransposed), m, n, k, team), expected) < 1e-5)
            #expect(relativeError(tn(aTransposed, bTransposed, m, n, k, adding: expected, team), twice) < 1e-5)
        }
    }

    /// Sizes that no tile divides, and beyond what is packed at once in each direction.
    @Test(arguments: [(70, 193, 211), (131, 400, 1000), (3100, 200, 195), (66, 4100, 200), (97, 203, 1801)])
    func largeProducts(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = Naive.gemmNT(a, b, m: m, n: n, k: k)
        let bTransposed = Naive.transpose(b, rows: n, columns: k)
        let aTransposed = Naive.transpose(a, rows: m, columns: k)
        let sevens = [Float](repeating: 7, count: m * n)
        var bits: [[Float]] = []
        for team in Self.teams {
            let first = nt(a, .float32(b), m, n, k, padding: 3, team)
            let second = nn(a, .float32(bTransposed), m, n, k, adding: sevens, padding: 3, team)
            let third = tn(aTransposed, bTransposed, m, n, k, padding: 3, team)
            #expect(relativeError(first, expected) < 1e-5)
            #expect(relativeError(second.map { $0 - 7 }, expected) < 2e-5)
            #expect(relativeError(third, expected) < 1e-5)
            bits.append(first)
        }
        guard PackedGEMM.supports(inputs: k, outputs: n, rows: m) else { return }
        #expect(bits.allSatisfy { $0 == bits[0] })
    }

    /// Enough weights for the kernels of few rows, in sizes that no tile divides.
    @Test(arguments: [
        (1, 700, 203), (2, 641, 256), (3, 515, 257), (5, 401, 345), (6, 400, 336), (7, 400, 333), (8, 410, 531),
        (16, 259, 520), (17, 700, 203), (33, 211, 1001), (48, 193, 777), (64, 259, 520), (65, 259, 520), (80, 203, 193),
        (150, 241, 345), (256, 193, 200), (257, 193, 200),
    ])
    func fewRows(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let halves = b.map { UInt16($0.bitPattern >> 16) }
        let expected = Naive.gemmNT(a, b, m: m, n: n, k: k)
        let expectedOfHalves = Naive.gemmNT(
            a, halves.map { Float(bitPattern: UInt32($0) << 16) }, m: m, n: n, k: k)
        for team in Self.teams {
            for (operand, expected) in [(Operand.float32(b), expected), (.bfloat16(halves), expectedOfHalves)] {
                for favorsFewRows in [false, true] {
                    let product = nt(a, operand, m, n, k, team, favorsFewRows: favorsFewRows)
                    #expect(relativeError(product, expected) < 1e-5)
                    let sum = nt(a, operand, m, n, k, adding: expected, team, favorsFewRows: favorsFewRows)
                    #expect(relativeError(sum, expected.map { 2 * $0 }) < 1e-5)
                }
            }
        }
    }

    /// Sizes for each kernel: both factors packed, the left one packed, none packed (in the first-level cache or not),
    /// one row.
    @Test(
        .enabled(if: ProductPrecision.bf16.isAvailable),
        arguments: [
            (300, 203, 1801), (131, 400, 1000), (70, 193, 211), (64, 259, 520), (48, 203, 1011), (30, 241, 777),
            (17, 193, 1544), (9, 700, 203), (5, 401, 345), (8, 200, 4100), (1, 700, 203),
        ])
    func bfloat16Products(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let narrow = b.map(Naive.bfloat16)
        let halves = narrow.map { UInt16($0.bitPattern >> 16) }
        let expected = Naive.gemmNT(a.map(Naive.bfloat16), narrow, m: m, n: n, k: k)
        let bTransposed = Naive.transpose(b, rows: n, columns: k)
        for team in Self.teams {
            for favorsFewRows in [false, true] {
                let product = nt(a, .float32(b), m, n, k, team, .bf16, favorsFewRows: favorsFewRows)
                #expect(relativeError(product, expected) < 1e-5)
                let sum = nt(
                    a, .bfloat16(halves), m, n, k, adding: expected, team, .bf16, favorsFewRows: favorsFewRows)
                #expect(relativeError(sum, expected.map { 2 * $0 }) < 1e-5)
            }
            guard PackedGEMM.supports(inputs: k, outputs: n, rows: m, .bf16) else { continue }
            #expect(relativeError(nn(a, .float32(bTransposed), m, n, k, team, .bf16), expected) < 1e-5)
        }
    }

    /// Gradients of weights: many rows and columns, long and short sums.
    @Test(
        .enabled(if: ProductPrecision.bf16.isAvailable),
        arguments: [(203, 259, 45), (192, 200, 61), (300, 203, 1801)])
    func bfloat16ProductsOfATranspose(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = Naive.gemmNT(a.map(Naive.bfloat16), b.map(Naive.bfloat16), m: m, n: n, k: k)
        let bTransposed = Naive.transpose(b, rows: n, columns: k)
        let aTransposed = Naive.transpose(a, rows: m, columns: k)
        for team in Self.teams {
            let sum = tn(aTransposed, bTransposed, m, n, k, adding: expected, team, .bf16)
            #expect(relativeError(sum, expected.map { 2 * $0 }) < 1e-5)
        }
    }

    /// Gradients of inputs with weights in bfloat16 have the bits of those with the same weights in float32: few and
    /// many rows, small and large layers, more weights than are converted at a time.
    @Test(arguments: [(1, 33, 40), (3, 700, 203), (70, 193, 211), (131, 400, 1000), (200, 4100, 1801), (5, 4099, 1100)])
    func bfloat16WeightsInTheGradientOfInputs(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let narrow = noise(k * n, seed: 2).map(Naive.bfloat16)
        let halves = narrow.map { UInt16($0.bitPattern >> 16) }
        let start = noise(m * n, seed: 3)
        for precision in ProductPrecision.allCases where precision.isAvailable {
            for team in Self.teams {
                let wide = nn(a, .float32(narrow), m, n, k, adding: start, padding: 3, team, precision)
                let sum = nn(a, .bfloat16(halves), m, n, k, adding: start, padding: 3, team, precision)
                if n * k <= 1 << 22 || PackedGEMM.supports(inputs: n, outputs: k, rows: m, precision) {
                    #expect(sum == wide)
                } else {
                    #expect(relativeError(sum, wide) < 1e-6)
                }
                let product = nn(a, .bfloat16(halves), m, n, k, team, precision)
                #expect(relativeError(product, zip(wide, start).map(-)) < 1e-5)
            }
        }
    }

    /// With skinny kernels, the bits of a row do not depend on the other rows.
    @Test func fewRowsHaveOneOrderOfSums() {
        let (n, k) = (515, 259)
        let a = noise(9 * k)
        let b = noise(n * k, seed: 2)
        guard SkinnyGEMM.supports(9, n, k) else { return }
        func product(_ team: ThreadTeam, _ rows: Range<Int>) -> [Float] {
            nt(
                Array(a[rows.lowerBound * k..<rows.upperBound * k]), .float32(b), rows.count, n, k, team,
                favorsFewRows: true)
        }
        let whole = product(.alone, 0..<9)
        for team in Self.teams {
            #expect(product(team, 0..<9) == whole)
            for size in 2...8 {
                for row in 0...(9 - size) {
                    #expect(product(team, row..<row + size) == Array(whole[row * n..<(row + size) * n]))
                }
            }
            for row in 0..<9 { #expect(product(team, row..<row + 1) == product(.alone, row..<row + 1)) }
        }
    }

    /// The bits of a row do not depend on the other rows: one row and many, small and large layers, sums of one and of
    /// several passes.
    @Test(
        .enabled(if: hasPackedProducts),
        arguments: [(203, 345), (193, 1801), (24, 40), (5, 1200), (330, 576)], ProductPrecision.allCases)
    func rowsHaveOneOrderOfSums(_ shape: (n: Int, k: Int), _ precision: ProductPrecision) {
        guard precision.isAvailable else { return }
        let (n, k) = shape
        let a = noise(400 * k)
        let b = noise(n * k, seed: 2)
        let halves = b.map { UInt16($0.bitPattern >> 16) }
        for operand in [Operand.float32(b), .bfloat16(halves)] {
            func product(_ team: ThreadTeam, _ rows: Range<Int>) -> [Float] {
                nt(Array(a[rows.lowerBound * k..<rows.upperBound * k]), operand, rows.count, n, k, team, precision)
            }
            let whole = product(.alone, 0..<400)
            for team in Self.teams {
                for size in [1, 2, 5, 9, 16, 17, 40, 65, 130, 193, 256, 257, 400] {
                    let rows = (400 - size)..<400
                    #expect(product(team, rows) == Array(whole[rows.lowerBound * n..<400 * n]), "\(size) rows")
                }
            }
        }
    }
}

/// Whether this processor has the products whose rows have the same bits beside any others.
let hasPackedProducts = !["SSE2", "portable"].contains(EngineThreads.instructionSet)
