import CheckpointIO
import Foundation
import Parallel
import Testing
import Transformer

/// AdamW's moments in 8 bits, compared with float32.
@Suite struct EightBitMomentTests {
    let configuration: ModelConfiguration
    /// One row of it takes two blocks, the second of which is not a multiple of any vector.
    let matrix: ParameterDescription
    /// The size of each element's gradients.
    private let sizes: [Float]

    init() throws {
        configuration = try ModelConfiguration(
            json: """
                {"model_type":"llama","vocab_size":16,"hidden_size":264,"intermediate_size":24,"num_hidden_layers":1,
                "num_attention_heads":2,"num_key_value_heads":2,"head_dim":8,"rms_norm_eps":1e-6,
                "max_position_embeddings":64,"tie_word_embeddings":true}
                """)
        sizes = (0..<configuration.parameterCount).map { index in
            let share = CounterRandom.uniform(seed: 1, step: 0, prompt: 0, sample: 0, position: index)
            return Float(1e-6 * pow(1000, share))
        }
        matrix = try #require(configuration.parameters.first { $0.name.hasSuffix("gate_proj.weight") })
    }

    private func optimizer(_ moments: MomentPrecision, seed: UInt64 = 0) -> AdamW {
        AdamW(configuration, TrainedLayout(configuration), moments: moments, seed: seed)
    }

    /// Gradients whose size differs from element to element, by a factor of up to 1,000.
    private func fill(_ gradients: ModelParameters, update: Int) {
        for index in gradients.values.indices {
            gradients.values[index] = sizes[index] * CounterRandom.normal(seed: 2, stream: update, counter: index)
        }
    }

    private func values(_ moment: EightBitMoment?) throws -> [Float] { try #require(moment).values(matrix) }

    /// Rounding is right on average: over many seeds, moments have the mean of those in float32.
    @Test func roundingIsUnbiased() throws {
        let gradients = ModelParameters(configuration)
        fill(gradients, update: 0)
        let parameters = ModelParameters(configuration)
        var exact = optimizer(.fp32)
        exact.update(parameters, gradients: gradients, learningRate: 0)
        let seeds = 200
        var sums = [(m: Double, v: Double)](repeating: (0, 0), count: matrix.elementCount)
        for seed in 0..<seeds {
            var rounded = optimizer(.eightBit, seed: UInt64(seed))
            rounded.update(parameters, gradients: gradients, learningRate: 0)
            let (m, v) = (try values(rounded.eightBit?.m), try values(rounded.eightBit?.v))
            for index in sums.indices {
                sums[index].m += Double(m[index])
                sums[index].v += Double(v[index])
            }
        }
        let (m, v) = (try #require(exact.m[matrix.name]), try #require(exact.v[matrix.name]))
        let largest = v.max() ?? 0
        var biases: [(m: Double, v: Double)] = []
        // Smaller ones have no code, and become the least one.
        for index in sums.indices where v[index] > largest * 0x1p-28 && abs(m[index]) > largest.squareRoot() * 0x1p-10 {
            let mean = (m: sums[index].m / Double(seeds), v: sums[index].v / Double(seeds))
            biases.append((mean.m / Double(m[index]) - 1, mean.v / Double(v[index]) - 1))
        }
        #expect(biases.count > matrix.elementCount / 2)
        #expect(biases.allSatisfy { abs($0.m) < 0.02 && abs($0.v) < 0.02 })
        #expect(abs(biases.reduce(0) { $0 + $1.m } / Double(biases.count)) < 2e-4)
        #expect(abs(biases.reduce(0) { $0 + $1.v } / Double(biases.count)) < 2e-4)
    }

    /// After 1,000 updates, second moments are right on average and parameters have moved as with moments in float32.
    @Test func errorsStayBounded() throws {
        let gradients = ModelParameters(configuration)
        let (exactly, roughly) = (ModelParameters(configuration), ModelParameters(configuration))
        var (exact, rounded) = (optimizer(.fp32), optimizer(.eightBit))
        for update in 0..<1000 {
            fill(gradients, update: update)
            exact.update(exactly, gradients: gradients, learningRate: 1e-3)
            rounded.update(roughly, gradients: gradients, learningRate: 1e-3)
        }
        let wanted = try #require(exact.v[matrix.name])
        let errors = zip(try values(rounded.eightBit?.v), wanted).map { Double($0 / $1) - 1 }
        let deviation = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
        #expect(deviation < 0.25, "\(deviation)")
        #expect(abs(errors.reduce(0, +) / Double(errors.count)) < 0.02)
        let (a, b) = (try #require(exactly[matrix.name]), try #require(roughly[matrix.name]))
        let difference = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        let movement = a.reduce(0.0) { $0 + Double($1 * $1) }
        #expect((difference / movement).squareRoot() < 0.2, "\((difference / movement).squareRoot())")
        // What is in float32 all the same.
        let norm = "model.norm.weight"
        #expect(try #require(exactly[norm]).elementsEqual(try #require(roughly[norm])))
    }

    /// The bits do not depend on the rows that are updated together, and so not on the number of threads.
    @Test func rowsDoNotDependOnEachOther() throws {
        let gradients = ModelParameters(configuration)
        let (whole, cut) = (ModelParameters(configuration), ModelParameters(configuration))
        var (first, second) = (optimizer(.eightBit), optimizer(.eightBit))
        let cuts = [0, 1, 2, 7, 15, 16, 23].map { RowScale(name: matrix.name, row: $0, factor: 1) }
        for update in 0..<3 {
            fill(gradients, update: update)
            first.update(whole, gradients: gradients, learningRate: 1e-3)
            second.update(cut, gradients: gradients, learningRate: 1e-3, rowLearningRateScale: cuts)
        }
        #expect(whole.values.elementsEqual(cut.values))
        #expect(try values(first.eightBit?.m) == values(second.eightBit?.m))
        #expect(try values(first.eightBit?.v) == values(second.eightBit?.v))
        #expect(try values(first.eightBit?.v).contains { $0 > 0 })
    }

    /// A row without gradients stays, and a number that is not 0 does not become 0 beside a much larger one.
    @Test func smallNumbersAreNotLost() throws {
        let gradients = ModelParameters(configuration)
        let gradient = try #require(gradients[matrix.name])
        (gradient[0], gradient[1]) = (1, 1e-6)
        let parameters = ModelParameters(configuration)
        var rounded = optimizer(.eightBit)
        rounded.update(parameters, gradients: gradients, learningRate: 1e-3)
        let v = try values(rounded.eightBit?.v)
        #expect(abs(v[0] - 1e-3) < 1e-9 && v[1] >= 1e-15 && v[2...].allSatisfy { $0 == 0 })
        let moved = try #require(parameters[matrix.name])
        #expect(abs(moved[0] + 1e-3) < 1e-6 && moved[2...].allSatisfy { $0 == 0 })
    }

    @Test func memoryIsAQuarter() throws {
        let configuration = try ModelConfiguration(
            json: """
                {"model_type":"llama","vocab_size":49152,"hidden_size":576,"intermediate_size":1536,
                "num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,"rms_norm_eps":1e-5,
                "max_position_embeddings":8192,"tie_word_embeddings":true}
                """)
        let layout = TrainedLayout(configuration)
        let share = Double(MomentPrecision.eightBit.byteCount(layout)) / Double(MomentPrecision.fp32.byteCount(layout))
        #expect(MomentPrecision.fp32.byteCount(layout) == 4 * configuration.parameterCount)
        #expect(share > 0.25 && share < 0.258, "\(share)")
    }
}
