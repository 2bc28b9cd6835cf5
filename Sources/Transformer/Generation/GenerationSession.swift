import Parallel

/// One call of `Generator.generate`: the samples that are being generated and those that wait.
final class GenerationSession: @unchecked Sendable {
    // Sendable because its state changes on the calling thread only; during a step the workers read it.

    /// The largest number of prompt tokens computed together, unless a single prompt has more.
    static let prefillTokens = 2048

    private let model: Model
    private let requests: [GenerationRequest]
    private let options: SamplingOptions
    private let rule: Sampling.Rule
    private let onToken: ((Int, Int, Int) -> Bool)?
    private let progress: ((Int) -> Void)?
    private let onPrompt: ((Int, [Float]) -> Void)?
    private let pool: PagePool
    private let rowLimit: Int
    private let sharesRows: Bool
    private var steps: [DecodeStep]
    private var active: [GenerationRow] = []
    private var completions: [[Completion?]]
    private var generated = 0
    // The next sample to start.
    private var nextRequest = 0
    private var nextSample = 0
    /// Requests whose prompt is cached and that have samples left to start.
    private var prepared: [Int: PreparedPrompt] = [:]

    private struct PreparedPrompt {
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
        let configuration = model.configuration
        pool = PagePool(configuration)
        let longestPrompt = requests.reduce(0) { max($0, $1.prompt.count) }
        let most = requests.reduce(1) { max($0, $1.sampleCount) }
        // The samples of a prompt share its pages.
        let perRow =
            KVPage.bytes(tokens: options.maximumNewTokens, configuration)
            + KVPage.bytes(tokens: longestPrompt, configuration) / most
        rowLimit = max(1, min(generator.maximumRows, generator.cacheByteLimit / max(1, perRow)))
        sharesRows = model.isSmall && EngineThreads.count > 1
        let model = model
        let pool = pool
        steps = (0..<(sharesRows ? EngineThreads.count : 1)).map { _ in DecodeStep(model, pool) }
        completions = requests.map { [Completion?](repeating: nil, count: max(0, $0.sampleCount)) }
    }

    func run() -> [[Completion]] {
        if options.maximumNewTokens > 0 {
            while true {
                while active.count < rowLimit, startSamples() {}
                if active.isEmpty { break }
                advance()
            }
        }
        return completions.map { $0.map { $0 ?? Completion(tokens: [], logProbabilities: [], finish: .length) } }
    }

    // MARK: - Starting samples

    /// Starts as many samples of the next request as the row limit allows; returns false if no sample is left.
    private func startSamples() -> Bool {
        while nextRequest < requests.count,
            requests[nextRequest].prompt.isEmpty || nextSample >= requests[nextRequest].sampleCount
        {
            prepared[nextRequest] = nil
            nextRequest += 1
            nextSample = 0
        }
        guard nextRequest < requests.count else { return false }
        if prepared[nextRequest] == nil { prefill() }
        guard let ready = prepared[nextRequest] else { return false }
        let request = requests[nextRequest]
        let count = min(request.sampleCount - nextSample, rowLimit - active.count)
        let rows = (nextSample..<(nextSample + count)).map {
            GenerationRow(pool, request: nextRequest, sample: $0, promptKey: request.promptKey, prompt: ready.prompt)
        }
        nextSample += count
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

    private func uniform(_ row: GenerationRow) -> Double {
        CounterRandom.uniform(
            seed: options.seed, step: options.step, prompt: row.promptKey, sample: row.sample,
            position: row.tokens.count)
    }

    /// Computes the prompts of the next requests together, as many as the free rows can take.
    private func prefill() {
        var chosen: [Int] = []
        var tokens = 0
        var places = rowLimit - active.count
        var index = nextRequest
        while index < requests.count, places > 0 {
            let request = requests[index]
            if !request.prompt.isEmpty, request.sampleCount > 0 {
                if !chosen.isEmpty, tokens + request.prompt.count > Self.prefillTokens { break }
                chosen.append(index)
                tokens += request.prompt.count
                places -= request.sampleCount
            }
            index += 1
        }
        let prompts = chosen.map { CachedPrompt(pool, count: requests[$0].prompt.count) }
        let logits = compute(chosen.map { requests[$0].prompt }, into: prompts)
        for (index, request) in chosen.enumerated() {
            prepared[request] = PreparedPrompt(prompt: prompts[index], logits: logits[index])
            onPrompt?(request, logits[index])
        }
    }

    /// Caches the tokens of texts for which `prompts` have room, and returns the logits after each text.
    private func compute(_ texts: [[Int]], into prompts: [CachedPrompt]) -> [[Float]] {
        model.prefill(texts) { prompt, position, layer, keys, values in
            guard position < prompts[prompt].count else { return }
            self.pool.write(
                keys, values, layer: layer, page: prompts[prompt].pages[position / KVPage.tokens],
                slot: position % KVPage.tokens)
        }
    }

    // MARK: - Steps

    /// Computes the cache of samples anew whose next token is the first one beyond the original length of LongRoPE,
    /// because all positions then rotate by other angles.
    private func extendContext() {
        guard case .longrope(_, _, _, let originalLength) = model.configuration.ropeScaling else { return }
        for row in active where row.position == originalLength {
            // The length of the text selects the angles, so the next token is part of it.
            let text = requests[row.request].prompt + row.tokens
            let prompt = CachedPrompt(pool, count: originalLength)
            _ = compute([text], into: [prompt])
            row.move(to: prompt)
        }
    }

    /// Generates one token of every active sample.
    private func advance() {
        extendContext()
        for row in active { row.grow() }
        let count = active.count
        var draws = [(token: Int, logProbability: Float)](repeating: (0, 0), count: count)
        let parts = sharesRows ? min(steps.count, count) : 1
        draws.withUnsafeMutableBufferPointer { draws in
            if parts > 1 {
                ThreadTeam.everyone.forEach(parts) { part, _ in
                    let range = (count * part / parts)..<(count * (part + 1) / parts)
                    step(.alone, steps[part], range, draws)
                }
            } else {
                step(sharesRows ? .alone : .everyone, steps[0], 0..<count, draws)
            }
        }
        var index = 0
        active.removeAll { row in
            defer { index += 1 }
            return !take(row, draws[index])
        }
        progress?(generated)
    }

    private func step(
        _ team: ThreadTeam, _ step: DecodeStep, _ range: Range<Int>,
        _ draws: UnsafeMutableBufferPointer<(token: Int, logProbability: Float)>
    ) {
        let vocabulary = model.configuration.vocabularySize
        let logits = step.logits(team, active[range])
        team.forEach(range.count) { item, _ in
            let line = logits + item * vocabulary
            let row = active[range.lowerBound + item]
            if let forced = row.pending.first {
                draws[range.lowerBound + item] = (
                    forced, Sampling.logProbability(of: forced, line, vocabulary, rule)
                )
            } else {
                draws[range.lowerBound + item] = Sampling.draw(
                    line, vocabulary, rule, uniform: uniform(row), scratch: line)
            }
        }
    }

    /// Adds a token to a sample; returns false if that was its last one.
    private func take(_ row: GenerationRow, _ draw: (token: Int, logProbability: Float)) -> Bool {
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
