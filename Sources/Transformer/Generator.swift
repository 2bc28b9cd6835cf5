import Foundation

/// A limit on thinking: once a response that thinks has as many tokens, those that end thinking are inserted and the
/// answer follows.
public struct ThinkingBudget: Sendable, Equatable {
    /// A response thinks when this is its first token …
    public var startToken: Int
    /// … and until this one comes.
    public var endToken: Int
    /// Tokens of the response, the first included, before the insertion.
    public var maximumTokens: Int
    /// What is inserted; ends with `endToken` or goes on after it.
    public var inserted: [Int]

    public init(startToken: Int, endToken: Int, maximumTokens: Int, inserted: [Int]) {
        self.startToken = startToken
        self.endToken = endToken
        self.maximumTokens = maximumTokens
        self.inserted = inserted
    }
}

/// How tokens are drawn and when to stop.
public struct SamplingOptions: Sendable {
    /// 0 takes the likeliest token.
    public var temperature: Float
    public var topP: Float
    /// 0 keeps all.
    public var topK: Int
    public var minP: Float
    public var maximumNewTokens: Int
    public var stopTokens: Set<Int>
    public var thinkingBudget: ThinkingBudget?
    /// Random numbers depend on (seed, step, prompt key, sample, position) and nothing else.
    public var seed: UInt64
    public var step: Int

    public init(
        temperature: Float = 1, topP: Float = 1, topK: Int = 0, minP: Float = 0, maximumNewTokens: Int,
        stopTokens: Set<Int> = [], thinkingBudget: ThinkingBudget? = nil, seed: UInt64 = 0, step: Int = 0
    ) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.minP = minP
        self.maximumNewTokens = maximumNewTokens
        self.stopTokens = stopTokens
        self.thinkingBudget = thinkingBudget
        self.seed = seed
        self.step = step
    }
}

/// A prompt and how many samples are wanted of it.
public struct GenerationRequest: Sendable {
    public var prompt: [Int]
    /// Stands for the prompt in the key of the random numbers.
    public var promptKey: Int
    public var sampleCount: Int
    /// The first token of every sample, where it is not to be drawn.
    public var forcedFirstToken: Int?
    /// The same by sample; takes precedence.
    public var forcedFirstTokens: [Int?]?

    public init(
        prompt: [Int], promptKey: Int = 0, sampleCount: Int = 1, forcedFirstToken: Int? = nil,
        forcedFirstTokens: [Int?]? = nil
    ) {
        self.prompt = prompt
        self.promptKey = promptKey
        self.sampleCount = sampleCount
        self.forcedFirstToken = forcedFirstToken
        self.forcedFirstTokens = forcedFirstTokens
    }

    func forcedToken(_ sample: Int) -> Int? {
        if let all = forcedFirstTokens, sample < all.count { return all[sample] }
        return forcedFirstToken
    }
}

/// What was generated for one sample.
public struct Completion: Sendable, Equatable {
    public enum Finish: String, Sendable {
        /// A stop token, which is the last of `tokens`.
        case stop
        /// `maximumNewTokens` were reached.
        case length
        /// `onToken` asked to end it.
        case cancelled
    }

    public var tokens: [Int]
    /// Natural logarithms of the tokens' probabilities at the sampling temperature (at 1 where that is 0) over the
    /// whole vocabulary, forced tokens included.
    public var logProbabilities: [Float]
    public var finish: Finish
    /// Places in `tokens` of what a thinking budget inserted.
    public var inserted: Range<Int>?

    public init(tokens: [Int], logProbabilities: [Float], finish: Finish, inserted: Range<Int>? = nil) {
        self.tokens = tokens
        self.logProbabilities = logProbabilities
        self.finish = finish
        self.inserted = inserted
    }
}

/// Generates with a key-value cache: many samples side by side, each prompt computed once for all of its samples, the
/// place of a finished sample taken by the next.
public struct Generator: Sendable {
    let model: Model
    /// Samples computed side by side at most.
    public var maximumRows = 256
    /// Bytes the cache may take (it may be passed by a single sample that needs more).
    public var cacheByteLimit = 4 << 30

    public init(_ parameters: ModelParameters) { model = Model(parameters) }

    /// With weights in bfloat16.
    public init(_ parameters: CompactParameters) { model = Model(parameters) }

    /// Shares the model's weights and memory.
    public init(_ model: Model) { self.model = model }

    /// Completions `[request][sample]`.
    ///
    /// `onToken(request, sample, token)` is called for every token in the order of the steps, forced ones included, on
    /// the calling thread; returning false ends that sample. `progress` receives the number of tokens generated so
    /// far after every step. `onPrompt(request, logits)` gets what was computed of each prompt once: the logits of the
    /// first token of its samples, temperature not applied. An empty prompt yields empty completions.
    public func generate(
        _ requests: [GenerationRequest], _ options: SamplingOptions,
        onToken: ((_ request: Int, _ sample: Int, _ token: Int) -> Bool)? = nil, progress: ((Int) -> Void)? = nil,
        onPrompt: ((_ request: Int, _ logits: [Float]) -> Void)? = nil
    ) -> [[Completion]] {
        let session = GenerationSession(
            self, requests, options, onToken: onToken, progress: progress, onPrompt: onPrompt)
        return session.run()
    }

    /// Probabilities of the given tokens by a row of logits over the whole vocabulary, at temperature 1.
    public static func probabilities(of tokens: [Int], _ logits: [Float]) -> [Double] {
        let top = Double(logits.max() ?? 0)
        let mass = logits.reduce(0.0) { $0 + exp(Double($1) - top) }
        return tokens.map { exp(Double(logits[$0]) - top) / mass }
    }

    /// Probabilities `[prompts][tokens]` of the given tokens to come first after each prompt, at temperature 1 over the
    /// whole vocabulary.
    public func firstTokenProbabilities(_ prompts: [[Int]], of tokens: [Int]) -> [[Double]] {
        var result: [[Double]] = []
        result.reserveCapacity(prompts.count)
        var first = 0
        while first < prompts.count {
            var end = first
            var size = 0
            while end < prompts.count, end == first || size + prompts[end].count <= GenerationSession.prefillTokens {
                size += prompts[end].count
                end += 1
            }
            let chunk = prompts[first..<end]
            let batch = PackedBatch(chunk.filter { !$0.isEmpty })
            var positions: [Int] = []
            for index in 0..<batch.segmentCount {
                positions.append(batch.offsets[index + 1] - 1)
            }
            var logits = model.logits(batch, positions: positions)[...]
            for prompt in chunk {
                guard !prompt.isEmpty, let row = logits.popFirst() else {
                    result.append(tokens.map { _ in 0 })
                    continue
                }
                result.append(Self.probabilities(of: tokens, row))
            }
            first = end
        }
        return result
    }
}
