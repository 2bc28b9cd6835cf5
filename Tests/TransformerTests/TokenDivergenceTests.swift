import Foundation
import Testing
import Transformer

/// Divergences computed in blocks of the vocabulary, against softmaxes of whole rows of logits.
@Suite struct TokenDivergenceTests {
    private func states(_ parameters: ModelParameters, _ sequences: [[Int]]) throws -> FinalStates {
        let name = parameters.configuration.tiesWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
        let head = Array(try #require(parameters[name]))
        let width = parameters.configuration.hiddenSize
        return try FinalStates(parameters, sequences) { rows, target in
            for (index, place) in (rows.lowerBound * width..<rows.upperBound * width).enumerated() {
                target[index] = head[place]
            }
        }
    }

    private func softmax(_ logits: [Float]) -> [Double] {
        let top = Double(logits.max() ?? 0)
        let powers = logits.map { exp(Double($0) - top) }
        let sum = powers.reduce(0, +)
        return powers.map { $0 / sum }
    }

    @Test(arguments: ["llama", "llama-biases-untied", "qwen3"]) func agreesWithWholeRows(_ name: String) throws {
        let fixture = Fixture.named(name)
        let a = try fixture.parameters()
        let b = try fixture.parameters()
        for (index, value) in b.values.enumerated() { b.values[index] = value * 1.05 + 0.002 * Float(index % 7) }
        let sequences = fixture.sequences
        let tokens = sequences.flatMap(\.self)
        let following = sequences.flatMap { text in text.indices.map { $0 + 1 < text.count ? text[$0 + 1] : nil } }
        let found = try TokenDivergence.measure(states(a, sequences), states(b, sequences), following: following)
        #expect(found.count == tokens.count)
        let batch = PackedBatch(sequences)
        let places = Array(tokens.indices)
        let logitsA = Model(a).logits(batch, positions: places)
        let logitsB = Model(b).logits(batch, positions: places)
        for place in places {
            let (p, q) = (softmax(logitsA[place]), softmax(logitsB[place]))
            let divergence = zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
            #expect(abs(found[place].divergence - divergence) < 1e-5 * max(1, divergence))
            #expect(abs(found[place].entropyA + p.reduce(0) { $0 + $1 * log($1) }) < 1e-4)
            #expect(abs(found[place].entropyB + q.reduce(0) { $0 + $1 * log($1) }) < 1e-4)
            #expect(abs(found[place].topA.probability - p.max()!) < 1e-5)
            #expect(p[found[place].topA.token] > p.max()! - 1e-6)
            #expect(q[found[place].topB.token] > q.max()! - 1e-6)
            if let next = following[place] {
                #expect(abs(found[place].logProbabilityA - log(p[next])) < 1e-4)
                #expect(abs(found[place].logProbabilityB - log(q[next])) < 1e-4)
            } else {
                #expect(found[place].logProbabilityA.isNaN)
            }
        }
    }

    @Test func aModelDoesNotDivergeFromItself() throws {
        let fixture = Fixture.named("llama")
        let own = try states(fixture.parameters(), fixture.sequences)
        let found = try TokenDivergence.measure(own, own, following: fixture.sequences.flatMap { $0.map { _ in nil } })
        #expect(found.allSatisfy { $0.divergence < 1e-6 && $0.topA.token == $0.topB.token })
    }
}
