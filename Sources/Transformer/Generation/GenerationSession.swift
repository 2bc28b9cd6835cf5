import Parallel

/// One call of `Generator.generate`: the samples that are being generated and those that wait.
final class GenerationSession: @unchecked Sendable {
    // Sendable because its state changes on the calling thread only; during a step the workers read it.

    /// The largest number of prompt tokens computed together, unless a single prompt has more.
    static let prefillTokens = 2048

    let model: Model
    let requests: [GenerationRequest]
    let options: SamplingOptions
    let rule: Sampling.Rule
    private let onToken: ((Int, Int, Int) -> Bool)?
    let progress: ((Int) -> Void)?
    private let onPrompt: ((Int, [Float]) -> Void)?
    let pool: PagePool
    let rowLimit: Int
    let sharesRows: Bool
    let steps: [DecodeStep]
    var active: [GenerationRow] = []
    /// Rows whose cache was taken back, in the order in which they go on; samples start when there are none.
    var waiting: [GenerationRow] = []
    /// The number of times that a row was taken back.
    var takenBack = 0
    private var completions: [[Completion?]]
    var generated = 0
    // The next sample to start.
    private var nextRequest = 0
    private var nextSample = 0
    /// Requests whose prompt is cached and that have samples left to start.
    private(set) var prepared: [Int: PreparedPrompt] = [:]

    struct PreparedPrompt {
        var prompt: CachedPrompt
        /// Logits after the prompt.
        var logits: [Float]
    }

    init(
        _ generator: Generator, _ requests: [GenerationRequest], _ options: SamplingOptions,
        onToken: ((Int, Int, Int) -> Bool)?, progress: ((Int) -> Void)?, onPrompt: ((Int, [Float]) -> Void)?
    ) {
        model = generator.model
        self.requests = requests
        self.options = options
        self.onToken = onToken
        self.progress = progress
        self.onPrompt = onPrompt
        rule = Sampling.Rule(
            temperature: options.temperature, topK: options.topK, topP: options.topP, minP: options.minP)
        pool = PagePool(model.configuration, generator.cachePrecision, byteLimit: generator.cacheByteLimit)
        rowLimit = max(1, generator.maximumRows)
        sharesRows = model.isSmall && EngineThreads.count > 1
        let model = model
        let pool = pool
        let favorsFewRows = generator.favorsFewRows
        steps = (0..<(sharesRows ? EngineThreads.count : 1)).map { _ in
            DecodeStep(model, pool, favorsFewRows: favorsFewRows)
        }
        completions = requests.map { [Completion?](repeating: nil, count: max(0, $0.sampleCount)) }
    }

    var cacheUse: CacheUse {
        CacheUse(
            peakBytes: pool.peak * pool.pageBytes, bytesInUse: pool.used * pool.pageBytes, rowsTakenBack: takenBack)
    }

    func run() -> [[Completion]] {
        if options.maximumNewTokens > 0 {
            while true {
                while active.count < rowLimit, resumeRow() {}
                while waiting.isEmpty, active.count < rowLimit, startSamples() {}
                if active.isEmpty { break }
                advance()
            }
        }
        return completions.map { $0.map { $0 ?? Completion(tokens: [], logProbabilities: [], finish: .length) } }
    }

    // MARK: - Starting samples

    /// Starts as many samples of the next request as fit; returns false if there is none.
    private func startSamples() -> Bool {
        while nextRequest < requests.count,
            requests[nextRequest].prompt.isEmpty || nextSample >= requests[nextRequest].sampleCount
        {
            prepared[nextRequest] = nil
            nextRequest += 1
            nextSample = 0
        }
        guard nextRequest < requests.count else { return false }
        let promptPages = prepared[nextRequest] == nil ? KVPage.count(tokens: requests[nextRequest].prompt.count) : 0
        guard active.isEmpty || promptPages + firstPages <= pool.available - reserve else { return false }
        if prepared[nextRequest] == nil { prefill() }
        guard let ready = prepared[nextRequest] else { return false }
        let request = requests[nextRequest]
        let fitting = max(active.isEmpty ? 1 : 0, (pool.available - reserve) / firstPages)
        let count = min(request.sampleCount - nextSample, rowLimit - active.count, fitting)
        let rows = (nextSample..<(nextSample + count)).map {
            GenerationRow(
                pool, request: nextRequest, sample: $0, promptKey: request.promptKey, sampleKey: request.key($0),
                promptCount: request.prompt.count, prompt: ready.prompt)
        }
        nextSample += count
        if nextSample == request.sampleCount { prepared[nextRequest] = nil }
        var draws = [(token: Int, logProbability: Float)](repeating: (0, 0), count: count)
        let vocabulary = model.configuration.vocabularySize
        let scratch = Floats.allocate(capacity: vocabulary * ThreadTeam.everyone.size)
        defer { scratch.deallocate() }
        draws.withUnsafeMutableBufferPointer { draws in
            ready.logits.withUnsafeBufferPointer { buffer in
                guard let logits = buffer.baseAddress else { return }
                ThreadTeam.everyone.forEach(count) { index, worker in
                    if let forced = request.forcedToken(rows[index].sample) {
                        draws[index] = (forced, Sampling.logProbability(of: forced, logits, vocabulary, rule))
                    } else {
                        draws[index] = Sampling.draw(
                            logits, vocabulary, rule, uniform: uniform(rows[index]),
                            scratch: scratch + worker * vocabulary)
                    }
                }
            }
        }
        for (row, draw) in zip(rows, draws) where take(row, draw) { active.append(row) }
        progress?(generated)
        return true
    }

    func uniform(_ row: GenerationRow) -> Double {
        CounterRandom.uniform(
            seed: options.seed, step: options.step, prompt: row.promptKey, sample: row.sampleKey,
            position: row.tokens.count)
    }

    /// Computes the prompts of the next requests together, as many as free rows and pages can take.
    private func prefill() {
        var chosen: [Int] = []
        var tokens = 0
        var places = rowLimit - active.count
        var pages = pool.available - reserve
        var index = nextRequest
        while index < requests.count, places > 0 {
            let request = requests[index]
            if !request.prompt.isEmpty, request.sampleCount > 0 {
                let own = KVPage.count(tokens: request.prompt.count)
                if !chosen.isEmpty,
                    tokens + request.prompt.count > Self.prefillTokens || own + firstPages > pages
                {
                    break
                }
                chosen.append(index)
                tokens += request.prompt.count
                places -= request.sampleCount
                pages -= own + firstPages * request.sampleCount
            }
            index += 1
        }
        let prompts = chosen.map { CachedPrompt(pool, request: $0, count: requests[$0].prompt.count) }
        let logits = compute(chosen.map { requests[$0].prompt }) { text, position in
            (prompts[text].pages[position / KVPage.tokens], position % KVPage.tokens)
        }
        for (index, request) in chosen.enumerated() {
            prepared[request] = PreparedPrompt(prompt: prompts[index], logits: logits[index])
            onPrompt?(request, logits[index])
        }
    }

    // MARK: - Tokens

    /// Adds a token to a sample; returns false if that was its last one.
    func take(_ row: GenerationRow, _ draw: (token: Int, logProbability: Float)) -> Bool {
        row.tokens.append(draw.token)
        row.logProbabilities.append(draw.logProbability)
        watchThinking(row)
        generated += 1
        let goesOn = onToken?(row.request, row.sample, draw.token) ?? true
        let finish: Completion.Finish
        if options.stopTokens.contains(draw.token) {
            finish = .stop
        } else if row.tokens.count >= options.maximumNewTokens {
            finish = .length
        } else if !goesOn {
            finish = .cancelled
        } else {
            return true
        }
        completions[row.request][row.sample] = Completion(
            tokens: row.tokens, logProbabilities: row.logProbabilities, finish: finish, inserted: row.inserted)
        return false
    }

    /// Advances an insertion, or starts one if a thinking sample has used up its budget.
    private func watchThinking(_ row: GenerationRow) {
        if !row.pending.isEmpty {
            row.pending.removeFirst()
            row.inserted = (row.inserted?.lowerBound ?? row.tokens.count - 1)..<row.tokens.count
        } else if let budget = options.thinkingBudget, row.tokens.count == max(1, budget.maximumTokens),
            row.tokens[0] == budget.startToken, !row.tokens.contains(budget.endToken)
        {
            row.pending = budget.inserted[...]
        }
    }
}
