import Foundation
import Parallel
import Testing
import Transformer

/// Operations against their definitions, and gradients against finite differences.
@Suite struct OperationTests {
    /// The loops over whole vectors compute the same bits as those over the last numbers of a row.
    @Test func vectorLoopsHaveTheSameBits() {
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

    /// More and fewer heads than a kernel takes at once, over three pages of which the last is not full.
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
        let offset = 48
        pages.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            let pages = (0..<3).map { index in
                KVPage(start: start + index * 64 * dimension - offset, count: min(32, tokens - index * 32))
            }
            pages.withUnsafeBufferPointer {
                for skipped in [0, 1, 13, 31] {
                    CachedAttention.forward(
                        queries: queries, heads: heads, dimension: dimension, pages: $0, skipping: skipped,
                        offset: offset, into: &output, scratch: &scratch)
                    for head in 0..<heads {
                        let own = head * dimension..<(head + 1) * dimension
                        let expected = Naive.attention(
                            query: Array(queries[own]), keys: Array(keys[skipped...]), values: Array(values[skipped...])
                        )
                        #expect(relativeError(output[own], expected) < 1e-5)
                    }
                }
            }
        }
    }

    /// Keys and values in bfloat16 give the bits of the same numbers in float32.
    @Test(arguments: [(1, 8), (3, 16), (5, 24), (4, 64), (2, 12)])
    func cachedAttentionOfRoundedPages(_ heads: Int, _ dimension: Int) {
        let (tokens, offset) = (75, 48)
        let queries = noise(heads * dimension)
        let halves = noise(offset + 3 * 64 * dimension, seed: 7).map { UInt16($0.bitPattern >> 16) }
        let floats = halves.map { Float(bitPattern: UInt32($0) << 16) }
        func attend(_ buffer: UnsafeRawBufferPointer, _ precision: CachePrecision, _ size: Int, _ skipped: Int)
            -> [Float]
        {
            guard let start = buffer.baseAddress else { return [] }
            var output = [Float](repeating: 1, count: heads * dimension)
            var scratch = [Float](repeating: 0, count: heads * 96)
            let pages = (0..<3).map {
                KVPage(start: start + $0 * 64 * dimension * size, count: min(32, tokens - $0 * 32))
            }
            pages.withUnsafeBufferPointer {
                CachedAttention.forward(
                    queries: queries, heads: heads, dimension: dimension, pages: $0, precision, skipping: skipped,
                    offset: offset, into: &output, scratch: &scratch)
            }
            return output
        }
        for skipped in [0, 1, 31] {
            let wide = floats.withUnsafeBytes { attend($0, .fp32, 4, skipped) }
            let half = halves.withUnsafeBytes { attend($0, .bf16, 2, skipped) }
            #expect(half.map(\.bitPattern) == wide.map(\.bitPattern))
            #expect(half.count == heads * dimension && half.allSatisfy(\.isFinite))
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
            #expect(relativeError(y[own], Naive.rmsNorm(Array(x[own]), weight: weight, epsilon: 1e-5)) < 1e-6)
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
        let expected = Naive.swiGLU(gate: Array(x[..<width]), up: Array(x[width...]))
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
            let expected = Naive.logProbability(logits, target: drawn.token, temperature: Double(temperature))
            #expect(abs(Double(drawn.logProbability) - expected) < 1e-5)
            let direct = Sampling.logProbability(of: drawn.token, logits, count, rule)
            #expect(abs(Double(direct) - expected) < 1e-5)
        }
        let greedy = Sampling.draw(logits, count, Sampling.Rule(temperature: 0), uniform: 0.9, scratch: &scratch)
        #expect(logits[greedy.token] == logits.max())
    }

    /// The share of draws of each token is its probability under the rule.
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
