import CheckpointIO
import TestSupport
import Testing
import Transformer

/// Results do not depend on the division of work.
@Suite struct BatchingTests {
    @Test(arguments: [
        "llama", "llama-biases-untied", "qwen3", "llama-dynamic", "llama-yarn", "qwen3-wide-heads", "mistral",
        "mistral-wide-heads", "smollm3-window", "phi3-longrope",
    ])
    func packedEqualsAlone(_ name: String) throws {
        let fixture = Fixture.named(name)
        let model = Model(try fixture.parameters())
        let sequences = fixture.sequences + fixture.sequences.map { Array($0.reversed()) }
        let batch = PackedBatch(sequences)
        let packed = model.logits(batch, positions: Array(batch.tokens.indices))
        for (index, sequence) in sequences.enumerated() {
            let alone = model.logits(PackedBatch([sequence]), positions: Array(sequence.indices))
            #expect(relativeError(packed[batch.range(of: index)].flatMap { $0 }, alone.flatMap { $0 }) < 1e-5)
        }
    }

    @Test(arguments: ["llama", "qwen2-untied", "qwen3", "llama-wide-heads"]) func gradientsDoNotDependOnTheCut(
        _ name: String
    ) throws {
        let fixture = Fixture.named(name)
        let parameters = try fixture.parameters()
        let model = Model(parameters)
        let sequences = fixture.sequences + fixture.sequences.map { Array($0.reversed()) }
        func gradients(_ batches: [[[Int]]]) -> ModelParameters {
            let sum = ModelParameters(parameters.configuration)
            for batch in batches {
                model.accumulateGradients(PackedBatch(batch), nextTokens(batch), into: sum) { range, _ in
                    ([Float](repeating: -0.01, count: range.count), [])
                }
            }
            return sum
        }
        let whole = gradients([sequences])
        for other in [gradients(sequences.map { [$0] }), gradients([Array(sequences[..<3]), Array(sequences[3...])])] {
            for parameter in whole.layout {
                #expect(relativeError(Array(other[parameter.name]!), Array(whole[parameter.name]!)) < 1e-5)
            }
        }
    }

    @Test(arguments: [
        "llama", "llama-biases-untied", "qwen2-tied", "qwen3", "llama-wide-heads", "qwen3-wide-heads", "mistral",
        "mistral-wide-heads", "qwen2-window", "smollm3-window", "phi3",
    ])
    func sharedPrefixEqualsRepeatedPrefix(_ name: String) throws {
        let fixture = Fixture.named(name)
        let parameters = try fixture.parameters()
        let model = Model(parameters)
        let prompt = fixture.sequences[2]
        let responses = [Array(fixture.sequences[3][..<9]), Array(fixture.sequences[0]), [5], [9, 8, 7]]
        var tree = PackedBatch()
        tree.append(fixture.sequences[0])
        let root = tree.append(prompt)
        let inner = tree.append([4, 6], continuing: root)
        for response in responses { tree.append(response, continuing: inner) }
        let flat = PackedBatch([fixture.sequences[0]] + responses.map { prompt + [4, 6] + $0 })
        // Every response token; in the flat batch, the last prompt token's row exists once per response.
        var treePositions: [ScoredPosition] = []
        var flatPositions: [ScoredPosition] = []
        for (index, response) in responses.enumerated() {
            for (offset, token) in response.enumerated() {
                let last = tree.range(of: inner).upperBound - 1
                let here = offset == 0 ? last : tree.range(of: 3 + index).lowerBound + offset - 1
                treePositions.append(ScoredPosition(position: here, target: token))
                let there = flat.range(of: 1 + index).lowerBound + prompt.count + 2 + offset - 1
                flatPositions.append(ScoredPosition(position: there, target: token))
            }
        }
        func run(_ batch: PackedBatch, _ positions: [ScoredPosition]) -> (PositionScores, ModelParameters) {
            let sum = ModelParameters(parameters.configuration)
            let scores = model.accumulateGradients(batch, positions, into: sum) { range, _ in
                (range.map { 1 / Float($0 + 1) }, [])
            }
            return (scores, sum)
        }
        let (treeScores, treeGradients) = run(tree, treePositions)
        let (flatScores, flatGradients) = run(flat, flatPositions)
        #expect(relativeError(treeScores.logProbabilities, flatScores.logProbabilities) < 1e-5)
        for parameter in treeGradients.layout {
            let error = relativeError(Array(treeGradients[parameter.name]!), Array(flatGradients[parameter.name]!))
            #expect(error < 2e-5, "\(parameter.name)")
        }
    }

    /// The text is long enough for several tiles of queries and keys, whose limits differ if it is cut in two.
    @Test(arguments: ["llama-wide-heads", "mistral-wide-heads", "mistral-long-window"])
    func longTextEqualsItsHalves(_ name: String) throws {
        let fixture = Fixture.named(name)
        let parameters = try fixture.parameters()
        let model = Model(parameters)
        let text = (0..<630).map { ($0 * 7 + $0 / 5) % parameters.configuration.vocabularySize }
        let positions = (0..<text.count - 1).map { ScoredPosition(position: $0, target: text[$0 + 1]) }
        func run(_ batch: PackedBatch) -> (PositionScores, ModelParameters) {
            let sum = ModelParameters(parameters.configuration)
            let scores = model.accumulateGradients(batch, positions, into: sum) { range, _ in
                (range.map { Float($0 % 7) / 500 }, [])
            }
            return (scores, sum)
        }
        let (wholeScores, wholeGradients) = run(PackedBatch([text]))
        for length in [101, 290, 627] {
            var cut = PackedBatch()
            let first = cut.append(Array(text[..<length]))
            cut.append(Array(text[length...]), continuing: first)
            let (scores, gradients) = run(cut)
            #expect(relativeError(scores.logProbabilities, wholeScores.logProbabilities) < 1e-5)
            for parameter in gradients.layout {
                let error = relativeError(Array(gradients[parameter.name]!), Array(wholeGradients[parameter.name]!))
                #expect(error < 5e-5, "\(parameter.name)")
            }
        }
    }

    /// What prompts begin with is computed once for all of them; each has the bits that it has alone.
    @Test(.enabled(if: hasPackedProducts)) func promptsThatBeginAlikeHaveTheirOwnBits() throws {
        let configuration = try ModelConfiguration.wide()
        let model = Model(ModelParameters(configuration, randomSeed: 5))
        #expect(model.sharesPrefixes)
        for length in [8, 24, 97] {
            let beginning = (0..<length).map { ($0 * 31 + 7) % 500 }
            let requests = (0..<7).map { index in
                let end = (0..<(1 + 13 * index)).map { ($0 * 7919 + index * 61) % 500 }
                return GenerationRequest(prompt: beginning + end, promptKey: index, sampleCount: 2)
            }
            #expect(PackedBatch.sharedPrefix(of: requests.map(\.prompt)) == length)
            func run(_ requests: [GenerationRequest]) -> ([[Float]], [[Completion]]) {
                var logits: [[Float]] = []
                let completions = Generator(model).generate(
                    requests, SamplingOptions(temperature: 1, maximumNewTokens: 6, seed: 3),
                    onPrompt: { logits.append($1) })
                return (logits, completions)
            }
            let (logits, completions) = run(requests)
            for (index, request) in requests.enumerated() {
                let (ownLogits, own) = run([request])
                #expect(logits[index] == ownLogits[0], "\(length), prompt \(index)")
                #expect(completions[index] == own[0], "\(length), prompt \(index)")
            }
        }
    }

    /// A model that is not small skips everything after the last attention for tokens whose logits are not requested.
    @Test func aFewPositionsEqualThoseOfAll() throws {
        let configuration = try ModelConfiguration.wide()
        let model = Model(ModelParameters(configuration, randomSeed: 5))
        let texts = (0..<3).map { row in (0..<(20 + 9 * row)).map { ($0 * 7919 + row * 104_729) % 500 } }
        let batch = PackedBatch(texts)
        let all = model.logits(batch, positions: Array(batch.tokens.indices))
        // In any order, and one twice.
        let few = [40, 3, 19, 76, 3]
        for (own, position) in zip(model.logits(batch, positions: few), few) {
            #expect(relativeError(own, all[position]) < 1e-5)
        }
        #expect(model.logits(batch, positions: []).isEmpty)
        let scored = few.map { ScoredPosition(position: $0, target: 7) }
        let whole = model.score(batch, batch.tokens.indices.map { ScoredPosition(position: $0, target: 7) })
        let scores = model.score(batch, scored)
        #expect(relativeError(scores.logProbabilities, few.map { whole.logProbabilities[$0] }) < 1e-5)
        #expect(relativeError(scores.entropies, few.map { whole.entropies[$0] }) < 1e-5)
        var prompts = 0
        _ = Generator(model).generate(
            texts.enumerated().map { GenerationRequest(prompt: $1, promptKey: $0) },
            SamplingOptions(temperature: 0, maximumNewTokens: 2),
            onPrompt: { request, logits in
                prompts += 1
                #expect(relativeError(logits, all[batch.offsets[request + 1] - 1]) < 1e-5)
            })
        #expect(prompts == texts.count)
    }

    @Test func sameInputsSameBits() throws {
        let fixture = Fixture.named("qwen3")
        let parameters = try fixture.parameters()
        let sequences = (0..<12).map { fixture.sequences[$0 % 4] }
        func run() -> [Float] {
            let sum = ModelParameters(parameters.configuration)
            let scores = Model(parameters).accumulateGradients(PackedBatch(sequences), nextTokens(sequences), into: sum)
            {
                range, _ in ([Float](repeating: -0.1, count: range.count), [])
            }
            return scores.logProbabilities + Array(sum.values)
        }
        let first = run()
        for _ in 0..<3 { #expect(run().elementsEqual(first)) }
    }

    @Test func gradientsAreAdded() throws {
        let fixture = Fixture.named("llama")
        let parameters = try fixture.parameters()
        let model = Model(parameters)
        let sum = ModelParameters(parameters.configuration)
        var once: [Float] = []
        for _ in 0..<2 {
            model.accumulateGradients(PackedBatch(fixture.sequences), nextTokens(fixture.sequences), into: sum) {
                range, _ in ([Float](repeating: -0.1, count: range.count), [])
            }
            if once.isEmpty { once = Array(sum.values) }
        }
        #expect(relativeError(Array(sum.values), once.map { 2 * $0 }) < 1e-5)
    }
}
