import Foundation

/// A limit on the length of thinking.
///
/// When a thinking response reaches the limit, tokens that end thinking are inserted, and the answer follows.
public struct ThinkingBudget: Sendable, Equatable {
    /// The first token of a response that thinks.
    public var startToken: Int
    /// The token that ends thinking.
    public var endToken: Int
    /// The largest number of tokens before the insertion, including the first one.
    public var maximumTokens: Int
    /// The inserted tokens, which contain `endToken`.
    public var inserted: [Int]

    public init(startToken: Int, endToken: Int, maximumTokens: Int, inserted: [Int]) {
        self.startToken = startToken
        self.endToken = endToken
        self.maximumTokens = maximumTokens
        self.inserted = inserted
    }
}

/// The distribution that tokens are drawn from, and the end of a sample.
public struct SamplingOptions: Sendable {
    /// Divides the logits; 0 selects the most likely token.
    public var temperature: Float
    /// Keeps the smallest set of most likely tokens with at least this probability; 1 keeps all tokens.
    public var topP: Float
    /// Keeps this many of the most likely tokens; 0 keeps all tokens.
    public var topK: Int
    /// Keeps tokens with at least this fraction of the largest probability; 0 keeps all tokens.
    public var minP: Float
    public var maximumNewTokens: Int
    /// Tokens that end a sample.
    public var stopTokens: Set<Int>
    public var thinkingBudget: ThinkingBudget?
    /// Random numbers depend on (seed, step, prompt key, sample key, position) alone, not on the batching.
    public var seed: UInt64
    /// A part of the key of the random numbers, for example the training step.
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

/// A prompt and the number of samples to generate from it.
public struct GenerationRequest: Sendable {
    /// Token ids.
    public var prompt: [Int]
    /// The part of the key of the random numbers that identifies the prompt.
    public var promptKey: Int
    public var sampleCount: Int
    /// The first token of every sample; nil to draw it.
    public var forcedFirstToken: Int?
    /// The first token of each sample, which takes precedence over `forcedFirstToken`; nil to draw it.
    public var forcedFirstTokens: [Int?]?
    /// The part of the key of the random numbers that identifies each sample; nil for its index.
    public var sampleKeys: [Int]?

    public init(
        prompt: [Int], promptKey: Int = 0, sampleCount: Int = 1, forcedFirstToken: Int? = nil,
        forcedFirstTokens: [Int?]? = nil, sampleKeys: [Int]? = nil
    ) {
        self.prompt = prompt
        self.promptKey = promptKey
        self.sampleCount = sampleCount
        self.forcedFirstToken = forcedFirstToken
        self.forcedFirstTokens = forcedFirstTokens
        self.sampleKeys = sampleKeys
    }

    func forcedToken(_ sample: Int) -> Int? {
        if let all = forcedFirstTokens, sample < all.count { return all[sample] }
        return forcedFirstToken
    }

    func key(_ sample: Int) -> Int {
        if let keys = sampleKeys, sample < keys.count { return keys[sample] }
        return sample
    }
}

/// A generated sample.
public struct Completion: Sendable, Equatable, Codable {
    /// The reason why a sample ended.
    public enum Finish: String, Sendable, Codable {
        /// A stop token, the last of `tokens`.
        case stop
        /// `maximumNewTokens` was reached.
        case length
        /// `onToken` returned false.
        case cancelled
    }

    public var tokens: [Int]
    /// Natural logarithms of the probabilities of all tokens, including forced ones.
    ///
    /// Probabilities are over the whole vocabulary, at the sampling temperature (at 1 if that is 0).
    public var logProbabilities: [Float]
    public var finish: Finish
    /// The range in `tokens` of the tokens that a thinking budget inserted.
    public var inserted: Range<Int>?

    public init(tokens: [Int], logProbabilities: [Float], finish: Finish, inserted: Range<Int>? = nil) {
        self.tokens = tokens
        self.logProbabilities = logProbabilities
        self.finish = finish
        self.inserted = inserted
    }
}

/// The use of the key-value cache by one call of `Generator.generate`.
public struct CacheUse: Sendable, Equatable {
    /// The most bytes in use at a time.
    public var peakBytes: Int
    /// The bytes in use at the end.
    public var bytesInUse: Int
    /// The number of times that a sample's part of the cache was taken back, to be computed again later.
    public var rowsTakenBack: Int
}

/// Generates samples in batches with a key-value cache.
///
/// Each prompt is computed once for all of its samples, and the next sample takes the row of a finished one at once.
/// Samples take cache as they grow; when it is full, one of them waits and is computed again later.
public struct Generator: Sendable {
    let model: Model
    /// The largest number of samples in a batch.
    public var maximumRows = 256
    /// The bytes that the cache may take, unless a single sample needs more.
    public var cacheByteLimit = Self.standardCacheByteLimit
    /// The number format of the cache.
    public var cachePrecision = CachePrecision.fp32

    /// Whether few samples at a time are computed by the kernels that are fastest for them.
    ///
    /// Their last bits then depend on how many there are; otherwise a sample has the same bits beside any others.
    public var favorsFewRows = false

    public static let standardCacheByteLimit = 4 << 30

    /// A generator with a new model.
    public init(_ parameters: ModelParameters) { model = Model(parameters) }

    /// A generator that shares the model's memory.
    public init(_ model: Model) { self.model = model }

    /// Generates samples for all requests.
    ///
    /// - Parameters:
    ///   - requests: prompts with their numbers of samples.
    ///   - options: applied to all samples.
    ///   - onToken: called on the calling thread for every token in the order of generation, including forced ones;
    ///     returning false ends the sample.
    ///   - progress: receives the number of tokens generated so far after every step.
    ///   - onPrompt: receives for each prompt, once, the logits of the first token, before the temperature is applied.
    ///   - onCacheUse: receives at the end what the cache took.
    /// - Returns: completions `[request][sample]`, which are empty for an empty prompt.
    public func generate(
        _ requests: [GenerationRequest], _ options: SamplingOptions,
        onToken: ((_ request: Int, _ sample: Int, _ token: Int) -> Bool)? = nil, progress: ((Int) -> Void)? = nil,
        onPrompt: ((_ request: Int, _ logits: [Float]) -> Void)? = nil, onCacheUse: ((CacheUse) -> Void)? = nil
    ) -> [[Completion]] {
        let session = GenerationSession(
            self, requests, options, onToken: onToken, progress: progress, onPrompt: onPrompt)
        defer { onCacheUse?(session.cacheUse) }
        return session.run()
    }

    /// The probabilities of the given tokens in softmax(`logits`).
    package static func probabilities(of tokens: [Int], _ logits: [Float]) -> [Double] {
        let top = Double(logits.max() ?? 0)
        let mass = logits.reduce(0.0) { $0 + exp(Double($1) - top) }
        return tokens.map { exp(Double(logits[$0]) - top) / mass }
    }

    /// The probabilities `[prompts][tokens]` of the given tokens to follow each prompt, at temperature 1.
    ///
    /// Probabilities are over the whole vocabulary; they are 0 for an empty prompt.
    package func firstTokenProbabilities(_ prompts: [[Int]], of tokens: [Int]) -> [[Double]] {
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
            let asked = chunk.filter { !$0.isEmpty }
            let prefix = model.sharesPrefixes ? PackedBatch.sharedPrefix(of: asked) : 0
            let batch = PackedBatch(asked, sharing: prefix)
            let positions = batch.offsets.dropFirst(prefix > 0 ? 2 : 1).map { $0 - 1 }
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
