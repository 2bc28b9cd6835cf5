import CheckpointIO
import Parallel
import Testing
import Transformer

/// Training of weights in bfloat16, compared with float32.
@Suite struct HalfWeightTests {
    let configuration: ModelConfiguration
    let layout: TrainedLayout
    let matrix = "model.layers.0.mlp.down_proj.weight"
    static let sequences = [[1, 5, 2, 9, 9, 3, 0], [7, 7, 4, 1]]

    init() throws {
        configuration = try ModelConfiguration(
            json: """
                {"model_type":"llama","vocab_size":16,"hidden_size":264,"intermediate_size":24,"num_hidden_layers":2,
                "num_attention_heads":2,"num_key_value_heads":2,"head_dim":16,"rms_norm_eps":1e-6,
                "max_position_embeddings":64,"tie_word_embeddings":true}
                """)
        layout = TrainedLayout(configuration)
    }

    /// The same weights, which bfloat16 represents, in both formats.
    private func weights() throws -> (wide: ModelParameters, narrow: ModelParameters) {
        let wide = ModelParameters(configuration, randomSeed: 3)
        let narrow = ModelParameters(configuration, layout, .bf16)
        for parameter in configuration.parameters {
            let values = try #require(wide[parameter.name])
            guard let halves = narrow.halves(parameter.name) else {
                _ = try #require(narrow[parameter.name]).update(fromContentsOf: values)
                continue
            }
            for index in values.indices {
                values[index] = Naive.bfloat16(values[index])
                halves[index] = UInt16(values[index].bitPattern >> 16)
            }
        }
        return (wide, narrow)
    }

    private func values(_ parameters: ModelParameters, _ name: String) throws -> [Float] {
        if let halves = parameters.halves(name) { return halves.map { Float(bitPattern: UInt32($0) << 16) } }
        return Array(try #require(parameters[name]))
    }

    @discardableResult
    private func accumulate(_ parameters: ModelParameters, into gradients: ModelParameters) -> [Float] {
        let batch = PackedBatch(Self.sequences)
        let positions = [0, 1, 2, 3, 4, 5, 7, 8, 9].map {
            ScoredPosition(position: $0, target: batch.tokens[$0 + 1])
        }
        return Model(parameters).accumulateGradients(batch, positions, into: gradients) { range, _ in
            (range.map { _ in -1 }, [])
        }.logProbabilities
    }

    @Test func gradientsAgree() throws {
        let (wide, narrow) = try weights()
        let exact = ModelParameters(configuration)
        let scores = accumulate(wide, into: exact)
        let seeds = 30
        var sums: [String: [Double]] = [:]
        for seed in 0..<seeds {
            let rounded = ModelParameters(configuration, layout, .bf16)
            rounded.clear(seed: UInt64(seed), step: 4)
            #expect(relativeError(accumulate(narrow, into: rounded), scores) < 1e-5)
            for parameter in configuration.parameters {
                let own = try values(rounded, parameter.name)
                #expect(relativeError(own, try values(exact, parameter.name)) < 0.01, "\(parameter.name)")
                sums[parameter.name] = zip(sums[parameter.name] ?? own.map { _ in 0 }, own).map { $0 + Double($1) }
            }
            let all = configuration.parameters.flatMap { (try? values(rounded, $0.name)) ?? [] }
            let norm = all.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            #expect(abs(gradientNorm(rounded) / norm - 1) < 1e-6)
            #expect(gradientNorm(rounded, minus: rounded) == 0)
        }
        // Rounding to nearest would leave the errors of one pass.
        for (name, sum) in sums {
            #expect(relativeError(sum.map { Float($0 / Double(seeds)) }, try values(exact, name)) < 0.003, "\(name)")
        }
    }

    @Test func sameSeedGivesTheSameBits() throws {
        let (_, narrow) = try weights()
        func bits(_ seed: UInt64) throws -> [UInt16] {
            let gradients = ModelParameters(configuration, layout, .bf16)
            gradients.clear(seed: seed, step: 1)
            accumulate(narrow, into: gradients)
            accumulate(narrow, into: gradients)
            return try configuration.parameters.flatMap { parameter in
                try values(gradients, parameter.name).map { UInt16($0.bitPattern >> 16) }
            }
        }
        #expect(try bits(1) == bits(1))
        #expect(try bits(1) != bits(2))
    }

    /// Updates far below the distance of two numbers in bfloat16 move weights by the right amount on average.
    @Test(arguments: MomentPrecision.allCases) func smallUpdatesAreNotLost(_ moments: MomentPrecision) throws {
        let (_, narrow) = try weights()
        let gradients = ModelParameters(configuration, layout, .bf16)
        for parameter in configuration.parameters {
            gradients.halves(parameter.name)?.update(repeating: UInt16(Float(0.5).bitPattern >> 16))
        }
        let halves = try #require(narrow.halves(matrix))
        halves.update(repeating: UInt16(Float(1).bitPattern >> 16))
        var optimizer = AdamW(configuration, layout, moments: moments, seed: 5)
        // Each update is 1/40 of the distance of 1 and the next smaller number.
        let rate: Float = 1e-4
        for _ in 0..<200 { optimizer.update(narrow, gradients: gradients, learningRate: rate) }
        let mean = try values(narrow, matrix).reduce(0.0) { $0 + Double($1) } / Double(halves.count)
        #expect(abs(mean - 0.98) < 1e-3, "\(mean)")
        let again = try weights().narrow
        try #require(again.halves(matrix)).update(repeating: UInt16(Float(1).bitPattern >> 16))
        var second = AdamW(configuration, layout, moments: moments, seed: 5)
        for _ in 0..<200 { second.update(again, gradients: gradients, learningRate: rate) }
        #expect(halves.elementsEqual(try #require(again.halves(matrix))))
    }

    @Test func memoryIsHalf() {
        #expect(WeightPrecision.fp32.byteCount(configuration.parameters) == 4 * configuration.parameterCount)
        let vectors = configuration.parameters.filter { !$0.isMatrix }.reduce(0) { $0 + $1.elementCount }
        #expect(
            WeightPrecision.bf16.byteCount(configuration.parameters) == 2 * configuration.parameterCount + 2 * vectors)
    }
}
