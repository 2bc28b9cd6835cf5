import Foundation
import Parallel
import Testing
import Transformer

/// Fast operations against their definitions, and gradients against finite differences.
@Suite struct OperationTests {
    static let teams = [ThreadTeam.alone, ThreadTeam(size: 2), ThreadTeam.everyone]

    @Test(arguments: [(1, 40, 17), (5, 33, 16), (70, 100, 31), (64, 512, 24), (300, 40, 16)])
    func matrixProducts(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = MatrixProduct.naiveTimesTransposed(a, b, m: m, n: n, k: k)
        let bTransposed = (0..<(k * n)).map { b[($0 % n) * k + $0 / n] }
        let aTransposed = (0..<(k * m)).map { a[($0 % m) * k + $0 / m] }
        for team in Self.teams {
            var c = [Float](repeating: 1, count: m * n)
            MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, &c, n)
            #expect(relativeError(c, expected) < 1e-5)
            MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, &c, n, scale: 2, adding: true)
            #expect(relativeError(c, expected.map { 3 * $0 }) < 1e-5)
            MatrixProduct.times(team, m, n, k, a, k, bTransposed, n, &c, n)
            #expect(relativeError(c, expected) < 1e-5)
            MatrixProduct.transposedTimes(team, m, n, k, aTransposed, m, bTransposed, n, &c, n, adding: true)
            #expect(relativeError(c, expected.map { 2 * $0 }) < 1e-5)
        }
    }

    /// Large ones, of sizes that no tile divides, and beyond what is packed at once in each direction.
    @Test(arguments: [(70, 193, 211), (131, 400, 1000), (3100, 200, 195), (66, 4100, 200), (97, 203, 1801)])
    func largeProducts(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = MatrixProduct.naiveTimesTransposed(a, b, m: m, n: n, k: k)
        let bTransposed = (0..<(k * n)).map { b[($0 % n) * k + $0 / n] }
        let aTransposed = (0..<(k * m)).map { a[($0 % m) * k + $0 / m] }
        var bits: [[Float]] = []
        for team in Self.teams {
            // Rows of the result lie apart; what lies between them stays.
            let width = n + 3
            func product(_ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
                var c = [Float](repeating: 7, count: m * width)
                body(&c)
                #expect((0..<m).allSatisfy { row in c[row * width + n..<(row + 1) * width].allSatisfy { $0 == 7 } })
                return (0..<m).flatMap { c[$0 * width..<$0 * width + n] }
            }
            let first = product { MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, $0, width) }
            let second = product { MatrixProduct.times(team, m, n, k, a, k, bTransposed, n, $0, width, adding: true) }
            let third = product {
                MatrixProduct.transposedTimes(team, m, n, k, aTransposed, m, bTransposed, n, $0, width)
            }
            #expect(relativeError(first, expected) < 1e-5)
            #expect(relativeError(second.map { $0 - 7 }, expected) < 2e-5)
            #expect(relativeError(third, expected) < 1e-5)
            bits.append(first)
        }
        guard PackedProduct.suits(inputs: k, outputs: n, rows: m) else { return }
        #expect(bits.allSatisfy { $0 == bits[0] })
    }

    /// Loops in vectors of eight give the bits of the others, which here take the last numbers of a row.
    @Test func wideLoopsHaveTheSameBits() {
        let width = 40
        let x = noise(2 * width).map { $0 * 30 }
        let upstream = noise(width, seed: 5)
        var y = [Float](repeating: 0, count: width)
        SwiGLU.forward(.alone, rows: 1, width: width, x, into: &y)
        var gradient = x
        var dy = upstream
        SwiGLU.backward(.alone, rows: 1, width: width, &gradient, &dy)
        for index in 0..<width {
            var one: Float = 0
            var pair = [x[index], x[width + index]]
            SwiGLU.forward(.alone, rows: 1, width: 1, pair, into: &one)
            #expect(one.bitPattern == y[index].bitPattern)
            one = upstream[index]
            SwiGLU.backward(.alone, rows: 1, width: 1, &pair, &one)
            #expect(pair == [gradient[index], gradient[width + index]] && one == dy[index])
        }
        for spread: Float in [0, 0.3] {
            func gradients(_ z: [Float]) -> [Float] {
                var z = z
                LogProbabilities.backward(
                    .alone, rows: 1, vocabulary: z.count, &z, inverseTemperature: 1.25, targets: { _ in 0 },
                    normalizers: [31], entropies: [0.5], logProbabilityGradient: [0.7], entropyGradient: [spread])
                return z
            }
            let whole = gradients(x)
            for index in 1..<x.count { #expect(gradients([0, x[index]])[1].bitPattern == whole[index].bitPattern) }
        }
    }

    /// Enough weights, and rows and columns that no tile divides.
    @Test(arguments: [
        (1, 700, 203), (2, 641, 256), (3, 515, 257), (5, 401, 345), (6, 400, 336), (7, 400, 333), (8, 410, 531),
        (16, 259, 520), (17, 700, 203), (33, 211, 1001), (48, 193, 777), (64, 259, 520), (65, 259, 520), (80, 203, 193),
        (150, 241, 345), (256, 193, 200), (257, 193, 200),
    ])
    func productsOfAFewRows(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let halves = b.map { UInt16($0.bitPattern >> 16) }
        let cut = halves.map { Float(bitPattern: UInt32($0) << 16) }
        let expected = MatrixProduct.naiveTimesTransposed(a, b, m: m, n: n, k: k)
        let expectedOfHalves = MatrixProduct.naiveTimesTransposed(a, cut, m: m, n: n, k: k)
        for team in Self.teams {
            var c = [Float](repeating: 1, count: m * n)
            MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, &c, n)
            #expect(relativeError(c, expected) < 1e-5)
            MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, &c, n, adding: true)
            #expect(relativeError(c, expected.map { 2 * $0 }) < 1e-5)
            BFloat16Product.timesTransposed(team, m, n, k, a, k, halves, &c, n)
            #expect(relativeError(c, expectedOfHalves) < 1e-5)
            BFloat16Product.timesTransposed(team, m, n, k, a, k, halves, &c, n, adding: true)
            #expect(relativeError(c, expectedOfHalves.map { 2 * $0 }) < 1e-5)
        }
    }

    /// Sizes for each way in which such products are made: both factors packed, rows packed, rows that meet weights from memory
    /// (out of the first and out of the second cache), one row.
    @Test(
        .enabled(if: ProductPrecision.bf16.isAvailable),
        arguments: [
            (300, 203, 1801), (131, 400, 1000), (70, 193, 211), (64, 259, 520), (48, 203, 1011), (30, 241, 777),
            (17, 193, 1544), (9, 700, 203), (5, 401, 345), (8, 200, 4100),
            (1, 700, 203),
        ])
    func productsInBFloat16(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let (narrowA, narrowB) = (a.map(nearestBFloat16), b.map(nearestBFloat16))
        let halves = narrowB.map { UInt16($0.bitPattern >> 16) }
        let expected = MatrixProduct.naiveTimesTransposed(narrowA, narrowB, m: m, n: n, k: k)
        let bTransposed = (0..<(k * n)).map { b[($0 % n) * k + $0 / n] }
        for team in Self.teams {
            var c = [Float](repeating: 1, count: m * n)
            MatrixProduct.timesTransposed(team, m, n, k, a, k, b, k, &c, n, precision: .bf16)
            #expect(relativeError(c, expected) < 1e-5)
            BFloat16Product.timesTransposed(team, m, n, k, a, k, halves, &c, n, adding: true, precision: .bf16)
            #expect(relativeError(c, expected.map { 2 * $0 }) < 1e-5)
            guard PackedProduct.suits(inputs: k, outputs: n, rows: m, .bf16) else { continue }
            MatrixProduct.times(team, m, n, k, a, k, bTransposed, n, &c, n, precision: .bf16)
            #expect(relativeError(c, expected) < 1e-5)
        }
    }

    /// Gradients of weights: many rows and columns, of sums that may be short.
    @Test(
        .enabled(if: ProductPrecision.bf16.isAvailable),
        arguments: [(203, 259, 45), (192, 200, 61), (300, 203, 1801)])
    func productsOfATransposeInBFloat16(_ m: Int, _ n: Int, _ k: Int) {
        let a = noise(m * k)
        let b = noise(n * k, seed: 2)
        let expected = MatrixProduct.naiveTimesTransposed(
            a.map(nearestBFloat16), b.map(nearestBFloat16), m: m, n: n, k: k)
        let bTransposed = (0..<(k * n)).map { b[($0 % n) * k + $0 / n] }
        let aTransposed = (0..<(k * m)).map { a[($0 % m) * k + $0 / m] }
        for team in Self.teams {
            var c = expected
            MatrixProduct.transposedTimes(
                team, m, n, k, aTransposed, m, bTransposed, n, &c, n, adding: true, precision: .bf16)
            #expect(relativeError(c, expected.map { 2 * $0 }) < 1e-5)
        }
    }

    /// Halfway cases go to the even neighbour.
    private func nearestBFloat16(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    }

    /// Where the processor has the instructions, a row's product does not depend on which rows are beside it.
    @Test func productsOfAFewRowsHaveOneOrder() {
        let (n, k) = (515, 259)
        let a = noise(9 * k)
        let b = noise(n * k, seed: 2)
        func product(_ team: ThreadTeam, _ rows: Range<Int>) -> [Float] {
            var c = [Float](repeating: 0, count: rows.count * n)
            MatrixProduct.timesTransposed(
                team, rows.count, n, k, Array(a[rows.lowerBound * k..<rows.upperBound * k]), k, b, k, &c, n)
            return c
        }
        guard FewRowsProduct.suits(9, n, k) else { return }
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

    /// The same of packed rows.
    @Test(arguments: ProductPrecision.allCases)
    func productsOfPackedRowsHaveOneOrder(_ precision: ProductPrecision) {
        let (n, k) = (203, 345)
        let a = noise(130 * k)
        let b = noise(n * k, seed: 2)
        guard PanelProduct.suits(130, n, k, precision) else { return }
        func product(_ team: ThreadTeam, _ rows: Range<Int>) -> [Float] {
            var c = [Float](repeating: 0, count: rows.count * n)
            MatrixProduct.timesTransposed(
                team, rows.count, n, k, Array(a[rows.lowerBound * k..<rows.upperBound * k]), k, b, k, &c, n,
                precision: precision)
            return c
        }
        let whole = product(.alone, 0..<130)
        for team in Self.teams {
            for size in [17, 32, 40, 64, 65, 100, 130] {
                let rows = (130 - size)..<130
                #expect(product(team, rows) == Array(whole[rows.lowerBound * n..<130 * n]))
            }
        }
    }

    /// Heads that share keys, more and fewer than a kernel takes at once, over three pages of which the last is not full.
    @Test(arguments: [(1, 8), (3, 16), (5, 24), (4, 64), (7, 80), (2, 12)])
    func cachedAttention(_ heads: Int, _ dimension: Int) {
        let tokens = 75
        let queries = noise(heads * dimension)
        let keys = (0..<tokens).map { noise(dimension, seed: UInt64(100 + $0)) }
        let values = (0..<tokens).map { noise(dimension, seed: UInt64(900 + $0)) }
        // A page: keys [dimension, 32], then values [32, dimension].
        var pages = [Float](repeating: .nan, count: 3 * 64 * dimension)
        for token in 0..<96 {
            let page = token / 32 * 64 * dimension
            for i in 0..<dimension {
                pages[page + i * 32 + token % 32] = token < tokens ? keys[token][i] : 0
                pages[page + (32 + token % 32) * dimension + i] = token < tokens ? values[token][i] : 0
            }
        }
        var output = [Float](repeating: 1, count: heads * dimension)
        var scratch = [Float](repeating: 0, count: heads * 96)
        // They begin somewhere within.
        let offset = 48
        pages.withUnsafeBufferPointer { pages in
            let stretches = (0..<3).map { index in
                CachedAttention.Stretch(
                    page: pages.baseAddress! + index * 64 * dimension - offset, count: min(32, tokens - index * 32))
            }
            stretches.withUnsafeBufferPointer {
                CachedAttention.forward(
                    queries: queries, heads: heads, dimension: dimension, stretches: $0, offset: offset, into: &output,
                    scratch: &scratch)
            }
        }
        for head in 0..<heads {
            let own = head * dimension..<(head + 1) * dimension
            let expected = CachedAttention.naive(query: Array(queries[own]), keys: keys, values: values)
            #expect(relativeError(output[own], expected) < 1e-5)
        }
    }

    @Test(arguments: [6, 16, 29]) func rmsNorm(_ width: Int) {
        let rows = 3
        let x = noise(rows * width)
        let weight = noise(width, seed: 3)
        let upstream = noise(rows * width, seed: 4)
        var y = [Float](repeating: 0, count: rows * width)
        func run(_ x: [Float], _ weight: [Float]) -> [Float] {
            var y = [Float](repeating: 0, count: rows * width)
            RMSNorm.forward(
                .alone, rows: rows, width: width, x, stride: width, weight: weight, epsilon: 1e-5, into: &y,
                outputStride: width)
            return y
        }
        y = run(x, weight)
        for row in 0..<rows {
            let own = row * width..<(row + 1) * width
            #expect(relativeError(y[own], RMSNorm.naive(Array(x[own]), weight: weight, epsilon: 1e-5)) < 1e-6)
        }
        var dx = [Float](repeating: 0, count: rows * width)
        var dw = [Float](repeating: 0, count: width)
        var partial = [Float](repeating: 0, count: 2 * width)
        RMSNorm.backward(
            .alone, rows: rows, width: width, x, stride: width, weight: weight, epsilon: 1e-5, dy: upstream,
            dyStride: width, into: &dx, dxStride: width, adding: false, weightGradient: &dw, partial: &partial)
        #expect(relativeError(dx, finiteDifferences(x) { dot(run($0, weight), upstream) }) < 2e-3)
        #expect(relativeError(dw, finiteDifferences(weight) { dot(run(x, $0), upstream) }) < 2e-3)
    }

    @Test(arguments: [5, 24]) func swiGLU(_ width: Int) {
        let x = noise(2 * width).map { $0 * 4 }
        let upstream = noise(width, seed: 5)
        func run(_ x: [Float]) -> [Float] {
            var y = [Float](repeating: 0, count: width)
            SwiGLU.forward(.alone, rows: 1, width: width, x, into: &y)
            return y
        }
        let expected = SwiGLU.naive(gate: Array(x[..<width]), up: Array(x[width...]))
        #expect(relativeError(run(x), expected) < 1e-6)
        var gradient = x
        var dy = upstream
        SwiGLU.backward(.alone, rows: 1, width: width, &gradient, &dy)
        #expect(relativeError(gradient, finiteDifferences(x) { dot(run($0), upstream) }) < 2e-3)
        #expect(relativeError(dy, expected) < 1e-6)
    }

    @Test(arguments: [7, 40, 1000]) func sampledLogProbabilities(_ count: Int) {
        let logits = noise(count).map { $0 * 6 }
        var scratch = [Float](repeating: 0, count: count)
        for temperature: Float in [0.6, 1, 2] {
            let rule = Sampling.Rule(temperature: temperature)
            let drawn = Sampling.draw(logits, count, rule, uniform: 0.37, scratch: &scratch)
            let naive = LogProbabilities.naive(logits, target: drawn.token, temperature: Double(temperature))
            #expect(abs(Double(drawn.logProbability) - naive.logp) < 1e-5)
            let direct = Sampling.logProbability(of: drawn.token, logits, count, rule)
            #expect(abs(Double(direct) - naive.logp) < 1e-5)
        }
        let greedy = Sampling.draw(logits, count, Sampling.Rule(temperature: 0), uniform: 0.9, scratch: &scratch)
        #expect(logits[greedy.token] == logits.max())
    }

    /// The share of draws that fall on each token is its probability under the rule.
    @Test(arguments: [
        Sampling.Rule(), Sampling.Rule(temperature: 0.5), Sampling.Rule(topK: 3), Sampling.Rule(topP: 0.8),
        Sampling.Rule(minP: 0.2), Sampling.Rule(temperature: 1.5, topK: 9, topP: 0.9, minP: 0.05),
    ]) func drawsFollowTheRule(_ rule: Sampling.Rule) {
        let count = 20
        let logits = noise(count, seed: 8).map { $0 * 2 }
        let weights = logits.map { exp(Double($0) / Double(rule.temperature)) }
        let mass = weights.reduce(0, +)
        var order = (0..<count).sorted { weights[$0] > weights[$1] }
        if rule.topK > 0 { order = Array(order.prefix(rule.topK)) }
        if rule.topP < 1 {
            let whole = order.reduce(0) { $0 + weights[$1] }
            var sum = 0.0
            order = order.filter { token in
                defer { sum += weights[token] }
                return sum < Double(rule.topP) * whole
            }
        }
        order = order.filter { weights[$0] >= Double(rule.minP) * weights[order[0]] }
        let kept = order.reduce(0) { $0 + weights[$1] }
        var hits = [Int](repeating: 0, count: count)
        let draws = 20_000
        var scratch = [Float](repeating: 0, count: count)
        for index in 0..<draws {
            let uniform = (Double(index) + 0.5) / Double(draws)
            let drawn = Sampling.draw(logits, count, rule, uniform: uniform, scratch: &scratch)
            hits[drawn.token] += 1
            #expect(abs(Double(drawn.logProbability) - log(weights[drawn.token] / mass)) < 1e-5)
        }
        for token in 0..<count {
            let expected = order.contains(token) ? weights[token] / kept : 0
            #expect(abs(Double(hits[token]) / Double(draws) - expected) < 2e-4)
        }
    }

    @Test func randomNumbersAreUniformAndDependOnEveryPart() {
        var bins = [Int](repeating: 0, count: 16)
        for position in 0..<16_000 {
            bins[Int(CounterRandom.uniform(seed: 1, step: 2, prompt: 3, sample: 4, position: position) * 16)] += 1
        }
        #expect(bins.allSatisfy { abs($0 - 1000) < 150 })
        let all = [
            CounterRandom.uniform(seed: 1, step: 2, prompt: 3, sample: 4, position: 5),
            CounterRandom.uniform(seed: 2, step: 2, prompt: 3, sample: 4, position: 5),
            CounterRandom.uniform(seed: 1, step: 3, prompt: 3, sample: 4, position: 5),
            CounterRandom.uniform(seed: 1, step: 2, prompt: 4, sample: 4, position: 5),
            CounterRandom.uniform(seed: 1, step: 2, prompt: 3, sample: 5, position: 5),
            CounterRandom.uniform(seed: 1, step: 2, prompt: 3, sample: 4, position: 6),
            CounterRandom.uniform(seed: 1, step: 2, prompt: 4, sample: 3, position: 5),
        ]
        #expect(Set(all).count == all.count)
    }

    @Test func freshParameters() throws {
        let configuration = try Fixture.named("qwen2-tied").configuration
        let parameters = ModelParameters(configuration, randomSeed: 3)
        let again = ModelParameters(configuration, randomSeed: 3)
        #expect(Array(parameters.values) == Array(again.values))
        #expect(parameters["model.norm.weight"]!.allSatisfy { $0 == 1 })
        #expect(parameters["model.layers.0.self_attn.q_proj.bias"]!.allSatisfy { $0 == 0 })
        let matrix = parameters["model.embed_tokens.weight"]!
        let deviation = (matrix.reduce(0) { $0 + $1 * $1 } / Float(matrix.count)).squareRoot()
        #expect(abs(deviation - 0.02) < 0.002)
        #expect(parameters["lm_head.weight"]!.baseAddress == matrix.baseAddress)
        #expect(parameters["nothing"] == nil)
    }

    @Test func rowsMayLearnFaster() throws {
        let configuration = try Fixture.named("llama").configuration
        let gradients = ModelParameters(configuration)
        gradients.values.update(repeating: 0.5)
        let plain = ModelParameters(configuration)
        let scaled = ModelParameters(configuration)
        var first = AdamW(configuration)
        var second = AdamW(configuration)
        first.update(plain, gradients: gradients, learningRate: 0.01)
        second.update(
            scaled, gradients: gradients, learningRate: 0.01,
            rowLearningRateScale: [
                RowScale(name: "lm_head.weight", row: 5, factor: 10),
                RowScale(name: "lm_head.weight", row: 34, factor: 0),
            ])
        let width = configuration.hiddenSize
        for index in plain.values.indices {
            let factor: Float = index / width == 5 ? 10 : index / width == 34 ? 0 : 1
            #expect(abs(scaled.values[index] - factor * plain.values[index]) < 1e-6)
        }
        #expect(abs(gradientNorm(gradients) - 0.5 * Double(plain.values.count).squareRoot()) < 1e-6)
        #expect(clipScale(norm: 4, limit: 1) < 0.2501 && clipScale(norm: 0.5, limit: 1) == 1)
    }

    private func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }

    private func finiteDifferences(_ x: [Float], _ f: ([Float]) -> Double) -> [Float] {
        x.indices.map { index in
            var up = x
            var down = x
            up[index] += 1e-2
            down[index] -= 1e-2
            return Float((f(up) - f(down)) / Double(up[index] - down[index]))
        }
    }
}
