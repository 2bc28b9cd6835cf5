import Transformer

// Sampling on servers: what a server sampled is scored by the model here, compared, and weighted.

extension RLStep {
    /// Samples on servers, unless they have sampled already; the log-probabilities of the responses are the model's
    /// own.
    ///
    /// - Throws: `SamplingFailure`.
    func sample(
        _ problems: [EncodedProblem], _ requests: [GenerationRequest], _ sampling: SamplingOptions,
        on sampler: ServerSampler, _ generator: Generator, phase: String
    ) throws -> [SampledGroup] {
        let total = requests.reduce(0) { $0 + $1.sampleCount }
        let responses =
            try ahead?.responses
            ?? sampler.sample(
                requests, sampling, shortLimit: options.rollout.maximumShortTokens, control: encoder.control,
                onFinished: { training.report(.progress(phase: phase, done: $0, total: total)) })

        let sequences = zip(problems, responses).flatMap { problem, group in
            group.map { TrainingSequence(prompt: problem.prompt, response: $0.tokens) }
        }
        let scores = model.scores(
            of: sequences, temperature: options.rollout.temperature, tokenBudget: options.optimizer.microBatchTokens)
        let firstTokens = generator.firstTokenProbabilities(
            problems.map(\.prompt), of: [encoder.control.think, encoder.control.short])
        var index = 0
        return problems.indices.map { problem in
            var completions: [Completion] = []
            var served: [ServerScores] = []
            for response in responses[problem] {
                let isOver = response.tokens.last.map(sampling.stopTokens.contains) ?? false
                completions.append(
                    Completion(
                        tokens: response.tokens, logProbabilities: scores.logProbabilities[index].map { Float($0) },
                        finish: isOver ? .stop : .length))
                served.append(
                    ServerScores(
                        logProbabilities: response.logProbabilities, entropies: scores.entropies[index],
                        server: response.server))
                index += 1
            }
            return SampledGroup(
                problem: problems[problem], responses: completions, scores: served,
                firstToken: (firstTokens[problem][0], firstTokens[problem][1]))
        }
    }

    /// Compares the servers with the model; nil if the responses were sampled here.
    ///
    /// All responses of the step are compared, unless they are of the weights before: then samples for this purpose
    /// have been.
    ///
    /// - Throws: `SamplingFailure` naming the server, the difference and its likely cause.
    func compareServers(_ groups: [RolloutGroup], after state: TrainingState) throws -> SamplerMetrics? {
        guard let sampler else { return nil }
        let rollouts = groups.flatMap(\.rollouts)
        var metrics: SamplerMetrics
        if let ahead {
            metrics = SamplerMetrics(ahead.check)
        } else {
            var comparisons = [SamplerComparison](repeating: SamplerComparison(), count: sampler.servers.count)
            for rollout in rollouts {
                if let server = rollout.server { comparisons[server.server].add(rollout.logProbabilities, server) }
            }
            metrics = SamplerMetrics(try judged(comparisons, sampler, after: state))
        }
        for rollout in rollouts {
            if let weights = samplerWeights(of: rollout) { metrics.add(weights, caps) }
        }
        return metrics
    }

    /// Compares the servers with the model on short samples of the step's first prompts, four for each server.
    ///
    /// - Throws: `SamplingFailure` as for whole responses.
    func check(_ sampler: ServerSampler, _ problems: ProblemStream, after state: TrainingState) throws
        -> SamplerComparison
    {
        var problems = problems
        let count = min(options.rollout.promptsPerStep, 4 * sampler.servers.count)
        let prompts = problems.take(count).problems.map(\.prompt)
        var sampling = sampling
        sampling.maximumNewTokens = min(32, sampling.maximumNewTokens)
        // Other random numbers than those of the responses.
        sampling.seed ^= 0x5EED
        let responses = try sampler.sample(
            prompts.enumerated().map { GenerationRequest(prompt: $1, promptKey: $0) }, sampling, shortLimit: nil,
            control: encoder.control, onFinished: { _ in }
        ).flatMap { $0 }
        let scores = model.scores(
            of: zip(prompts, responses).map { TrainingSequence(prompt: $0, response: $1.tokens) },
            temperature: options.rollout.temperature, tokenBudget: options.optimizer.microBatchTokens)
        var comparisons = [SamplerComparison](repeating: SamplerComparison(), count: sampler.servers.count)
        for (index, response) in responses.enumerated() {
            comparisons[response.server].add(
                scores.logProbabilities[index].map { Float($0) },
                ServerScores(
                    logProbabilities: response.logProbabilities, entropies: scores.entropies[index],
                    server: response.server))
        }
        return try judged(comparisons, sampler, after: state)
    }

    /// The sum of the comparisons, one for each server.
    ///
    /// - Throws: `SamplingFailure` if one of them fails.
    private func judged(
        _ comparisons: [SamplerComparison], _ sampler: ServerSampler, after state: TrainingState
    ) throws -> SamplerComparison {
        let baseline = state.history(of: training.stage)["sampler_difference_mean"]?.first(where: \.isFinite)
        var all = SamplerComparison()
        for (server, comparison) in zip(sampler.servers, comparisons) {
            if let failure = comparison.failure(
                tolerance: options.sampler.tolerance, baseline: baseline, temperature: options.rollout.temperature)
            {
                throw SamplingFailure(reason: "\(server.address.base): \(failure)")
            }
            all.add(comparison)
        }
        return all
    }

    private var caps: SamplerWeights {
        SamplerWeights(cap: options.sampler.cap, controlCap: options.sampler.controlCap)
    }

    /// The importance weights of a response's tokens; nil if it was sampled here.
    ///
    /// Under `--balance` the control token has a weight already, that of the mixture it was drawn from.
    func samplerWeights(of rollout: Rollout) -> [Double]? {
        rollout.server.map {
            caps.weights(
                model: rollout.logProbabilities, server: $0.logProbabilities,
                weighsControl: options.guards.balance == 0)
        }
    }
}
