import CheckpointIO
import Testing
import Transformer

/// A cache that is too small for all samples at once.
@Suite struct CachePoolTests {
    /// The model of a fixture, and the bytes of a page of its cache.
    private struct Subject {
        let model: Model
        let configuration: ModelConfiguration

        init(_ fixture: Fixture) throws {
            let parameters = try fixture.parameters()
            (model, configuration) = (Model(parameters), parameters.configuration)
        }

        func pageBytes(_ precision: CachePrecision = .fp32) -> Int { KVPage.bytes(configuration, precision) }
    }

    private struct Outcome {
        var completions: [[Completion]]
        var use: CacheUse
        var tokens: [[[Int]]] { completions.map { $0.map(\.tokens) } }
    }

    private func generate(
        _ subject: Subject, _ requests: [GenerationRequest], _ options: SamplingOptions, pages: Int? = nil,
        _ precision: CachePrecision = .fp32, rows: Int = 256, onToken: ((Int, Int, Int) -> Bool)? = nil
    ) throws -> Outcome {
        var generator = Generator(subject.model)
        generator.maximumRows = rows
        generator.cachePrecision = precision
        if let pages { generator.cacheByteLimit = pages * subject.pageBytes(precision) }
        var use: CacheUse?
        let completions = generator.generate(requests, options, onToken: onToken, onCacheUse: { use = $0 })
        return Outcome(completions: completions, use: try #require(use))
    }

    /// Samples that are taken back and computed again go on to the same tokens, and all pages are returned; with packed
    /// products every bit is the same.
    @Test(arguments: [
        "llama", "llama-yarn", "llama-dynamic", "qwen3", "mistral", "qwen2-window", "smollm3-window", "phi3-longrope",
    ])
    func aSmallPoolGivesTheSameTokens(_ name: String) throws {
        let fixture = Fixture.named(name)
        let subject = try Subject(fixture)
        let requests = fixture.sequences.enumerated().map {
            GenerationRequest(prompt: $1, promptKey: $0, sampleCount: 1 + 2 * $0)
        }
        var takenBack = 0
        var all = 0
        // Seed and number of samples that differ in a pool of some size.
        var others: Set<[Int]> = []
        for seed in 0..<4 {
            var options = SamplingOptions(maximumNewTokens: 110, seed: UInt64(seed))
            if seed == 0 { options.stopTokens = [2] }
            if seed == 1 {
                options.thinkingBudget = ThinkingBudget(
                    startToken: 5, endToken: 7, maximumTokens: 40, inserted: [9, 7])
            }
            let large = try generate(subject, requests, options)
            #expect(large.use.rowsTakenBack == 0 && large.use.bytesInUse == 0)
            for pages in [1, 6, 9, 14] {
                let small = try generate(subject, requests, options, pages: pages)
                #expect(small.use.bytesInUse == 0)
                // A prompt and a sample alone take at most this; one further prompt may wait.
                let alone = 2 * 2 + 4
                #expect(small.use.peakBytes <= max(pages, alone) * subject.pageBytes())
                takenBack += small.use.rowsTakenBack
                all = large.completions.joined().count
                if hasPackedProducts {
                    #expect(small.completions == large.completions, "seed \(seed), \(pages) pages")
                    continue
                }
                for (index, (own, other)) in zip(small.completions.joined(), large.completions.joined()).enumerated() {
                    // A draw may fall between two tokens whose probabilities differ in their last bits.
                    let equal = zip(own.tokens, other.tokens).prefix { $0 == $1 }.count
                    if own.tokens != other.tokens { others.insert([seed, index]) }
                    #expect(
                        relativeError(own.logProbabilities[..<equal], other.logProbabilities[..<equal]) < 1e-4,
                        "seed \(seed), \(pages) pages")
                }
            }
        }
        #expect(takenBack > 20)
        #expect(others.count * 50 <= 4 * all, "\(others) of \(all) samples for each seed")
    }

    /// The largest length of a sample changes no step and no bit of samples that end before it.
    @Test func theLimitDoesNotMatter() throws {
        let fixture = Fixture.named("llama")
        let subject = try Subject(fixture)
        let requests = (0..<64).map { GenerationRequest(prompt: fixture.sequences[$0 % 4], promptKey: $0) }
        // Room for all samples as they are, and not for one of the largest length.
        let outcomes = try [64, 2048, 16_384].map { limit in
            var counts = [Int](repeating: 0, count: 64)
            return try generate(
                subject, requests, SamplingOptions(maximumNewTokens: limit, seed: 1), pages: 300,
                onToken: { request, _, _ in
                    counts[request] += 1
                    return counts[request] < 40 + request % 24
                })
        }
        for outcome in outcomes {
            #expect(outcome.completions == outcomes[0].completions && outcome.use == outcomes[0].use)
            #expect(outcome.use.rowsTakenBack == 0 && outcome.completions[5][0].tokens.count == 45)
        }
    }

    /// Each token is reported once and in order, although samples are computed again.
    @Test func callbacksSeeEachTokenOnce() throws {
        let subject = try Subject(Fixture.named("llama"))
        let requests = [GenerationRequest(prompt: [4, 5, 6], sampleCount: 12)]
        var seen = [[Int]](repeating: [], count: 12)
        let result = try generate(
            subject, requests, SamplingOptions(maximumNewTokens: 100, seed: 3), pages: 12,
            onToken: { _, sample, token in
                seen[sample].append(token)
                return !(sample == 3 && seen[3].count == 70)
            })
        #expect(result.use.rowsTakenBack > 0)
        #expect(result.tokens[0] == seen)
        #expect(result.completions[0][3].finish == .cancelled && seen[3].count == 70)
    }

    /// One long row and many short ones come to an end, whichever is started first.
    @Test(arguments: [0, 9, 19]) func aLongRowAmongShortOnes(_ place: Int) throws {
        let fixture = Fixture.named("llama")
        let subject = try Subject(fixture)
        let requests = (0..<20).map { GenerationRequest(prompt: fixture.sequences[$0 % 4], promptKey: $0) }
        func run(pages: Int?) throws -> Outcome {
            var counts = [Int](repeating: 0, count: 20)
            return try generate(
                subject, requests, SamplingOptions(maximumNewTokens: 400, seed: 1), pages: pages,
                onToken: { request, _, _ in
                    counts[request] += 1
                    return request == place || counts[request] < 5 + 3 * request
                })
        }
        let large = try run(pages: nil)
        for pages in [1, 8, 16] {
            let small = try run(pages: pages)
            #expect(small.tokens == large.tokens)
            #expect(small.tokens[place][0].count == 400 && small.use.bytesInUse == 0)
        }
    }

    /// The same call gives the same bits again.
    @Test(arguments: CachePrecision.allCases) func aSmallPoolIsReproducible(_ precision: CachePrecision) throws {
        let fixture = Fixture.named("qwen3")
        let subject = try Subject(fixture)
        let requests = fixture.sequences.map { GenerationRequest(prompt: $0, sampleCount: 6) }
        let options = SamplingOptions(maximumNewTokens: 80, seed: 8)
        let first = try generate(subject, requests, options, pages: 11, precision)
        let second = try generate(subject, requests, options, pages: 11, precision)
        #expect(first.completions == second.completions && first.use == second.use)
        #expect(first.use.rowsTakenBack > 0)
    }

    /// A cache in bfloat16 takes half the bytes, and its log-probabilities are close to those of float32.
    @Test(arguments: ["llama", "qwen3", "mistral", "qwen2-window", "phi3-longrope", "llama-wide-heads"])
    func roundedPages(_ name: String) throws {
        let fixture = Fixture.named(name)
        let subject = try Subject(fixture)
        let requests = fixture.sequences.enumerated().map {
            GenerationRequest(prompt: $1, promptKey: $0, sampleCount: 3)
        }
        let options = SamplingOptions(maximumNewTokens: 70, seed: 4)
        let wide = try generate(subject, requests, options)
        let half = try generate(subject, requests, options, .bf16)
        #expect(2 * half.use.peakBytes == wide.use.peakBytes)
        var compared = 0
        for (own, other) in zip(half.completions.joined(), wide.completions.joined()) {
            for (place, token) in own.tokens.enumerated() {
                guard token == other.tokens[place] else { break }
                #expect(abs(own.logProbabilities[place] - other.logProbabilities[place]) < 0.06)
                compared += 1
            }
        }
        #expect(compared > 200)
        #expect(half.completions != wide.completions)
        // Samples that are taken back go on to the same tokens with this format too.
        let small = try generate(subject, requests, options, pages: 8, .bf16)
        #expect(small.tokens == half.tokens && small.use.rowsTakenBack > 0 && small.use.bytesInUse == 0)
    }
}
