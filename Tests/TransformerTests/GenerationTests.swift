import CheckpointIO
import Foundation
import Testing
import Transformer

@Suite struct GenerationTests {
    /// Log-probabilities of generated tokens equal those of the finished text, for every family.
    @Test(arguments: [
        "llama", "llama-biases-untied", "qwen2-untied", "qwen3", "llama-yarn", "mistral", "mistral-wide-heads",
        "qwen2-window", "qwen3-window", "smollm3", "smollm3-window", "phi3",
    ])
    func cachedEqualsUncached(_ name: String) throws {
        let fixture = Fixture.named(name)
        let model = Model(try fixture.parameters())
        var generator = Generator(model)
        generator.maximumRows = 5
        let requests = fixture.sequences.enumerated().map {
            GenerationRequest(prompt: $1, promptKey: $0, sampleCount: 3)
        }
        // Longer than a page of the cache.
        let options = SamplingOptions(temperature: 0.8, maximumNewTokens: 40, stopTokens: [2], seed: 5, step: 1)
        let completions = generator.generate(requests, options)
        for (request, samples) in zip(requests, completions) {
            #expect(samples.count == 3)
            for sample in samples {
                let sequence = request.prompt + sample.tokens
                let positions = sample.tokens.indices.map {
                    ScoredPosition(position: request.prompt.count + $0 - 1, target: sample.tokens[$0])
                }
                let scores = model.score(PackedBatch([sequence]), positions, temperature: 0.8)
                #expect(relativeError(sample.logProbabilities, scores.logProbabilities) < 1e-5)
                #expect(sample.finish == (sample.tokens.last == 2 ? .stop : .length))
                #expect(!sample.tokens.dropLast().contains(2))
            }
        }
        #expect(Set(completions[3].map(\.tokens)).count == 3)
    }

    /// A sample that outgrows the original length of LongRoPE continues as if all its text were the prompt.
    @Test func samplesOutgrowTheOriginalLength() throws {
        let fixture = Fixture.named("phi3-longrope")
        let model = Model(try fixture.parameters())
        let generator = Generator(model)
        for length in [3, 9, 10, 11] {
            let prompt = Array(fixture.sequences[3][..<length])
            let request = GenerationRequest(prompt: prompt, sampleCount: 3)
            let options = SamplingOptions(maximumNewTokens: 40, seed: 2)
            for sample in generator.generate([request], options)[0] {
                let text = prompt + sample.tokens
                for (place, token) in sample.tokens.enumerated() {
                    let position = ScoredPosition(position: length + place - 1, target: token)
                    let score = model.score(PackedBatch([Array(text[..<(length + place)])]), [position])
                    #expect(abs(sample.logProbabilities[place] - score.logProbabilities[0]) < 1e-5)
                }
            }
        }
    }

    @Test func batchingDoesNotChangeSamples() throws {
        let fixture = Fixture.named("llama")
        let model = Model(try fixture.parameters())
        let requests = fixture.sequences.enumerated().map {
            GenerationRequest(prompt: $1, promptKey: 100 + $0, sampleCount: 4)
        }
        let options = SamplingOptions(maximumNewTokens: 20, stopTokens: [2, 3], seed: 9)
        var results: [[[Int]]] = []
        for rows in [1, 3, 7, 256] {
            var generator = Generator(model)
            generator.maximumRows = rows
            results.append(generator.generate(requests, options).map { $0.flatMap(\.tokens) })
        }
        let alone = requests.map { request in
            Generator(model).generate([request], options)[0].flatMap(\.tokens)
        }
        for result in results { #expect(result == alone) }
        var other = options
        other.step = 1
        #expect(Generator(model).generate(requests, other).map { $0.flatMap(\.tokens) } != alone)
    }

    /// With packed products a sample has the same bits alone and beside others, whatever prompts were computed with its
    /// own.
    @Test(.enabled(if: hasPackedProducts), arguments: ["llama", "qwen3", "phi3", "wide"])
    func samplesHaveTheSameBitsBesideAnyOthers(_ name: String) throws {
        let model = try name == "wide" ? wideModel() : Model(try Fixture.named(name).parameters())
        let requests = (0..<40).map { index in
            GenerationRequest(
                prompt: (0..<(3 + index * 7 % 30)).map { 4 + ($0 * 5 + index) % 28 }, promptKey: index, sampleCount: 4)
        }
        let options = SamplingOptions(maximumNewTokens: 12, seed: 9)
        var probabilities: [Int: [Float]] = [:]
        let together = Generator(model).generate(requests, options, onPrompt: { probabilities[$0] = $1 })
        for range in [0..<1, 5..<6, 1..<3, 8..<13, 20..<40] {
            var generator = Generator(model)
            generator.maximumRows = 7 * range.count
            let own = generator.generate(
                Array(requests[range]), options, onPrompt: { #expect(probabilities[range.lowerBound + $0] == $1) })
            #expect(own == Array(together[range]), "requests \(range)")
        }
    }

    /// A model whose layers are large enough for all kernels, with sums of several passes.
    private func wideModel() throws -> Model {
        let configuration = try ModelConfiguration(
            json: """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 640,
                 "intermediate_size": 1280, "num_hidden_layers": 2, "num_attention_heads": 10,
                 "num_key_value_heads": 5, "vocab_size": 300, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
                 "tie_word_embeddings": false}
                """)
        return Model(ModelParameters(configuration, randomSeed: 3))
    }

    /// `onPrompt` receives the logits of the first token, once for each prompt.
    @Test func onPromptReceivesTheLogitsOfTheFirstToken() throws {
        let fixture = Fixture.named("llama")
        let generator = Generator(Model(try fixture.parameters()))
        let requests = fixture.sequences.map { GenerationRequest(prompt: $0, sampleCount: 2) }
        var found: [Int: [Double]] = [:]
        _ = generator.generate(
            requests, SamplingOptions(temperature: 0.5, maximumNewTokens: 3),
            onPrompt: { request, logits in
                #expect(found[request] == nil)
                found[request] = Generator.probabilities(of: [4, 5], logits)
            })
        let expected = generator.firstTokenProbabilities(fixture.sequences, of: [4, 5])
        #expect(found.count == expected.count)
        for (request, values) in found {
            for (value, other) in zip(values, expected[request]) { #expect(abs(value - other) < 1e-6) }
        }
    }

    @Test func forcedFirstTokens() throws {
        let fixture = Fixture.named("qwen3")
        let model = Model(try fixture.parameters())
        let prompt = fixture.sequences[0]
        let request = GenerationRequest(
            prompt: prompt, sampleCount: 4, forcedFirstToken: 7, forcedFirstTokens: [11, nil, 12])
        let completions = Generator(model).generate([request], SamplingOptions(maximumNewTokens: 3))[0]
        #expect(completions[0].tokens[0] == 11 && completions[2].tokens[0] == 12 && completions[3].tokens[0] == 7)
        let scores = model.score(
            PackedBatch([prompt]), [ScoredPosition(position: prompt.count - 1, target: 11)])
        #expect(abs(completions[0].logProbabilities[0] - scores.logProbabilities[0]) < 1e-5)
    }

    /// Samples of one request draw what those of several requests with the same keys draw.
    @Test func sampleKeysIdentifyDraws() throws {
        let fixture = Fixture.named("qwen3")
        let generator = Generator(try fixture.parameters())
        let options = SamplingOptions(maximumNewTokens: 8, seed: 4)
        let prompt = fixture.sequences[0]
        let apart = [nil, 11].flatMap { forced in
            generator.generate(
                [GenerationRequest(prompt: prompt, promptKey: 3, sampleCount: 2, forcedFirstToken: forced)], options)[0]
        }
        let together = generator.generate(
            [
                GenerationRequest(
                    prompt: prompt, promptKey: 3, sampleCount: 4, forcedFirstTokens: [nil, nil, 11, 11],
                    sampleKeys: [0, 1, 0, 1])
            ], options)[0]
        #expect(together.map(\.tokens) == apart.map(\.tokens) && together[0].tokens != together[1].tokens)
    }

    @Test func callbacksSeeEveryTokenAndMayEndASample() throws {
        let fixture = Fixture.named("llama")
        let generator = Generator(try fixture.parameters())
        var seen: [[Int]] = [[], []]
        var totals: [Int] = []
        let completions = generator.generate(
            [GenerationRequest(prompt: [4, 5, 6], sampleCount: 2)], SamplingOptions(maximumNewTokens: 9),
            onToken: { _, sample, token in
                seen[sample].append(token)
                return !(sample == 1 && seen[1].count == 4)
            }, progress: { totals.append($0) })
        #expect(completions[0].map(\.tokens) == seen)
        #expect(completions[0].map(\.tokens.count) == [9, 4])
        #expect(completions[0].map(\.finish) == [.length, .cancelled])
        #expect(totals.last == 13)
    }

    @Test func thinkingBudgetInsertsItsEnd() throws {
        let fixture = Fixture.named("llama")
        let model = Model(try fixture.parameters())
        let budget = ThinkingBudget(startToken: 30, endToken: 31, maximumTokens: 5, inserted: [9, 31])
        let request = GenerationRequest(
            prompt: [4, 5], sampleCount: 12, forcedFirstTokens: (0..<12).map { $0 < 8 ? 30 : 6 })
        let completions = Generator(model).generate(
            [request], SamplingOptions(maximumNewTokens: 10, thinkingBudget: budget, seed: 3))[0]
        for (index, sample) in completions.enumerated() {
            #expect(sample.tokens.count == 10)
            if index < 8, !sample.tokens[..<5].contains(31) {
                #expect(sample.inserted == 5..<7 && sample.tokens[5...6] == [9, 31])
            } else {
                #expect(sample.inserted == nil)
            }
            let positions = sample.tokens.indices.map { ScoredPosition(position: 1 + $0, target: sample.tokens[$0]) }
            let scores = model.score(PackedBatch([[4, 5] + sample.tokens]), positions)
            #expect(relativeError(sample.logProbabilities, scores.logProbabilities) < 1e-5)
        }
        #expect(completions.contains { $0.inserted != nil })
    }

    /// Compact parameters give the same results as rounded parameters in float32.
    @Test(arguments: ["llama-biases-untied", "qwen2-tied", "qwen3", "phi3"])
    func compactParameters(_ name: String) throws {
        let fixture = Fixture.named(name)
        let parameters = try fixture.parameters()
        let compact = Model(CompactParameters(rounding: parameters))
        for description in parameters.layout where description.isMatrix {
            let view = parameters[description.name]!
            for i in view.indices {
                let bits = view[i].bitPattern
                view[i] = Float(bitPattern: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) & 0xFFFF_0000)
            }
        }
        let rounded = Model(parameters)
        let batch = PackedBatch(fixture.sequences)
        let positions = Array(batch.tokens.indices)
        let error = relativeError(
            compact.logits(batch, positions: positions).flatMap { $0 },
            rounded.logits(batch, positions: positions).flatMap { $0 })
        #expect(error < 1e-5)
        let requests = [GenerationRequest(prompt: [4, 5, 6], sampleCount: 5), GenerationRequest(prompt: [9])]
        for temperature: Float in [0, 1] {
            let options = SamplingOptions(temperature: temperature, maximumNewTokens: 12, seed: 4)
            let own = Generator(compact).generate(requests, options)
            let other = Generator(rounded).generate(requests, options)
            #expect(own.map { $0.map(\.tokens) } == other.map { $0.map(\.tokens) })
        }
    }

    @Test func nothingToDo() throws {
        let generator = Generator(try Fixture.named("llama").parameters())
        #expect(generator.generate([], SamplingOptions(maximumNewTokens: 4)).isEmpty)
        let empty = [
            GenerationRequest(prompt: []), GenerationRequest(prompt: [3], sampleCount: 0),
            GenerationRequest(prompt: [3]),
        ]
        let completions = generator.generate(empty, SamplingOptions(maximumNewTokens: 4))
        #expect(completions.map(\.count) == [1, 0, 1])
        #expect(completions[0][0].tokens.isEmpty && completions[2][0].tokens.count == 4)
        #expect(generator.generate(empty, SamplingOptions(maximumNewTokens: 0))[2][0].tokens.isEmpty)
    }

    @Test func firstTokenProbabilitiesAreThoseOfTheModel() throws {
        let fixture = Fixture.named("qwen2-tied")
        let model = Model(try fixture.parameters())
        let probabilities = Generator(model).firstTokenProbabilities(fixture.sequences + [[]], of: [3, 30])
        for (index, sequence) in fixture.sequences.enumerated() {
            let last = sequence.count - 1
            let scores = model.score(
                PackedBatch([sequence]), [.init(position: last, target: 3), .init(position: last, target: 30)])
            for (own, other) in zip(probabilities[index], scores.logProbabilities) {
                #expect(abs(own - exp(Double(other))) < 1e-6)
            }
        }
        #expect(probabilities[4] == [0, 0])
    }
}
