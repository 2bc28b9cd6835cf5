import Transformer

/// The resources that a run takes, measured by a short trial of its first step that writes nothing.
package struct RLTrial: Sendable {
    package var memory: [MemoryUse]
    /// Bytes of tensors in the folder at the end, before compression.
    package var diskBytes: Int
    package var savedStates: Int
    /// Deltas between the states, and the most bytes that one may take: those of the weights.
    package var deltas: Int
    package var deltaBytes: Int
    package var samplesPerStep: Int
    package var meanPromptTokens: Double
    /// Mean tokens of the trial's responses, including those that the end of the trial cut off.
    package var meanResponseTokens: Double
    /// Responses that the end of the trial cut off.
    package var unfinished: Int
    package var sampledTokensPerSecond: Double
    package var trainedTokensPerSecond: Double
    package var secondsPerOptimizerUpdate: Double
    /// The time of a step with responses of the trial's mean length, and with responses of the largest length.
    package var secondsPerStep: (expected: Double, longest: Double)
    /// A step with answers of the trial's mean length, on this machine alone.
    package var step: RankForecast.Step
}

extension RLTrainer {
    /// Samples the first step's prompts for some seconds, and trains on a micro-batch of the result.
    package func trial(seconds: Double = 10) -> RLTrial {
        var problems = problems
        let rollout = options.rollout
        let chosen = problems.take(rollout.promptsPerStep).problems
        let requests = chosen.enumerated().map {
            GenerationRequest(prompt: $1.prompt, promptKey: $0, sampleCount: rollout.samplesPerPrompt)
        }
        let sampling = SamplingOptions(
            temperature: Float(rollout.temperature), maximumNewTokens: rollout.maximumNewTokens,
            stopTokens: encoder.stopTokens, seed: options.run.seed, step: 0)
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let completions = rollout.makeGenerator(model).generate(
            requests, sampling, onToken: { _, _, _ in ContinuousClock.now < deadline }
        ).flatMap { $0 }
        let sampleSeconds = Double((ContinuousClock.now - start) / .seconds(1))
        let sampled = completions.reduce(0) { $0 + $1.tokens.count }

        let sequences = zip(
            chosen.flatMap { Array(repeating: $0.prompt, count: rollout.samplesPerPrompt) }, completions
        )
        .filter { !$1.tokens.isEmpty }.map { TrainingSequence(prompt: $0, response: $1.tokens) }
        let speed = TrainingSpeed(
            model, sequences, options.optimizer, gradients: gradients.all)

        let samples = rollout.promptsPerStep * rollout.samplesPerPrompt
        let promptTokens = Double(chosen.reduce(0) { $0 + $1.prompt.count }) / Double(chosen.count)
        let length = Double(sampled) / Double(max(1, completions.count))
        let sampleRate = Double(sampled) / max(sampleSeconds, 1e-9)
        let streamRate = streamTokensPerSecond(requests[0])
        let updates = options.loss.updatesPerBatch
        let secondsPerUpdate = speed.secondsPerOptimizerUpdate
        func passSeconds(_ length: Double) -> Double {
            let tokens = Double(samples) * length + Double(rollout.promptsPerStep) * promptTokens
            let passes = Double(updates) / Double(options.loss.resolvedMiniBatches)
            // A forward pass takes about a third of the time of a forward and a backward pass.
            let recomputes = updates > 1 && options.loss.oldLogProbabilities == .recomputed
            let scorings = (reference == nil ? 0.0 : 1) + (recomputes ? 1 : 0)
            let speed = speed.tokensPerSecond(length: promptTokens + length)
            return tokens / speed * (passes + scorings / 3)
        }
        func stepSeconds(_ length: Double) -> Double {
            Double(samples) * length / sampleRate + passSeconds(length) + Double(updates) * secondsPerUpdate
        }
        let longest = completions.reduce(0) { max($0, $1.tokens.count) }
        let saves = options.run.saves
        return RLTrial(
            memory: memory,
            diskBytes: options.run.diskBytes(
                ofStates: saves.states, weightBytes: state.savedBytes(options.run.savedContent),
                momentBytes: 2 * options.optimizer.moments.byteCount(gradients.all.trained)),
            savedStates: saves.states, deltas: saves.deltas,
            deltaBytes: state.savedBytes(options.run.savedContent),
            samplesPerStep: samples, meanPromptTokens: promptTokens, meanResponseTokens: length,
            unfinished: completions.count { $0.finish == .cancelled }, sampledTokensPerSecond: sampleRate,
            trainedTokensPerSecond: speed.tokensPerSecond(length: promptTokens + length),
            secondsPerOptimizerUpdate: secondsPerUpdate,
            secondsPerStep: (stepSeconds(length), stepSeconds(Double(rollout.maximumNewTokens))),
            step: RankForecast.Step(
                sampling: Double(samples) * length / sampleRate, longestAnswer: Double(longest) / streamRate,
                passes: passSeconds(length), optimizer: Double(updates) * secondsPerUpdate,
                sums: Double(updates) * (options.run.logsControlGradientNorm ? 2 : 1),
                gradientBytes: options.optimizer.weights.byteCount(gradients.all.layout),
                adding: speed.secondsPerSum))
    }

    /// The speed of one answer alone.
    private func streamTokensPerSecond(_ request: GenerationRequest) -> Double {
        var single = request
        single.sampleCount = 1
        let sampling = SamplingOptions(
            temperature: Float(options.rollout.temperature), maximumNewTokens: 16, seed: options.run.seed)
        var start = ContinuousClock.now
        var count = 0
        _ = options.rollout.makeGenerator(model).generate(
            [single], sampling,
            onToken: { _, _, _ in
                // The first token comes from the prompt's pass.
                if count == 0 { start = .now }
                count += 1
                return true
            })
        return Double(max(1, count - 1)) / max(1e-9, Double((ContinuousClock.now - start) / .seconds(1)))
    }

    /// The memory that the run will take.
    package var memory: [MemoryUse] { memory(recomputing: model.recomputesActivations) }

    func memory(recomputing: Bool) -> [MemoryUse] {
        let configuration = state.parameters.configuration
        let parameters = configuration.parameterCount
        let rollout = options.rollout
        let longestPrompt = problems.longestPrompt
        let longest = longestPrompt + rollout.maximumNewTokens
        let samples = rollout.promptsPerStep * rollout.samplesPerPrompt
        // At least one sequence is in memory at a time.
        let tokens = max(min(options.optimizer.microBatchTokens, samples * longest), longest)
        let generator = rollout.makeGenerator(model)
        let cache = MemoryEstimate.generation(
            configuration, rows: min(samples, generator.maximumRows), group: rollout.samplesPerPrompt,
            promptTokens: longestPrompt, newTokens: rollout.maximumNewTokens,
            cachePrecision: generator.cachePrecision, cacheByteLimit: generator.cacheByteLimit)
        var parts = MemoryUse.training(
            state, gradients.all, options.optimizer, tokens: tokens, longest: longest, recomputing: recomputing,
            slices: slices)
        parts.append(MemoryUse(purpose: "cache while sampling", bytes: cache - 4 * parameters))
        // Ids of eight bytes, three kinds of log-probabilities, and the records of a sample.
        let sampleBytes = 400 + 8 * longestPrompt + 28 * rollout.maximumNewTokens
        parts.append(MemoryUse(purpose: "responses of a step", bytes: samples * sampleBytes))
        if options.run.logsControlGradientNorm {
            parts.append(
                MemoryUse(
                    purpose: "gradient of the control tokens",
                    bytes: options.optimizer.weights.byteCount(gradients.all.layout)))
        }
        if reference != nil, state.adapted == nil || reference?.isStart == false {
            let bytes = options.loss.referencePrecision.bytesPerParameter * parameters
            parts.append(MemoryUse(purpose: "reference policy", bytes: bytes, isAllocated: true))
        }
        return parts
    }
}

extension RLRunOptions {
    /// The states that a whole run saves, the first one included, and the deltas between them.
    var saves: (states: Int, deltas: Int) {
        var (states, deltas, sinceState) = (1, 0, 0)
        for step in 1...max(1, steps) {
            if step == steps || step.isDue(every: saveEvery) || sinceState == TrainingRun.mostDeltas {
                states += 1
                sinceState = 0
            } else if keepsDeltas {
                deltas += 1
                sinceState += 1
            }
        }
        return (states, deltas)
    }
}
