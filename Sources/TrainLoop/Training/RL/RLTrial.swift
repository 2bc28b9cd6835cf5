import Transformer

/// What a run will take, by a short trial of its first step that changes nothing on disk.
public struct RLTrial: Sendable {
    /// Bytes of memory by what for, largest parts of the peak.
    public var memory: [(what: String, bytes: Int)]
    /// Bytes of tensors in the folder at the end, before compression.
    public var diskBytes: Int
    public var savedStates: Int
    public var samplesPerStep: Int
    public var meanPromptTokens: Double
    /// Of the responses in the trial; those cut off by its time count as far as they got.
    public var meanResponseTokens: Double
    /// Responses that the trial's time cut off.
    public var unfinished: Int
    public var sampledTokensPerSecond: Double
    public var trainedTokensPerSecond: Double
    public var secondsPerOptimizerUpdate: Double
    /// At the trial's mean length, and if every response were as long as allowed.
    public var secondsPerStep: (expected: Double, longest: Double)
}

extension RLTrainer {
    /// Samples the first step's prompts for some seconds, and trains on a micro-batch of what came of it.
    ///
    /// - Parameter seconds: for sampling, at most.
    public func trial(seconds: Double = 10) -> RLTrial {
        var data = data
        let chosen = data.take(from: dataPosition, count: options.promptsPerStep)
        let requests = chosen.enumerated().map {
            GenerationRequest(prompt: $1.prompt, promptKey: $0, sampleCount: options.samplesPerPrompt)
        }
        let sampling = SamplingOptions(
            temperature: Float(options.temperature), maximumNewTokens: options.maximumNewTokens,
            stopTokens: encoder.stopTokens, seed: options.seed, step: 0)
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let completions = Generator(model).generate(
            requests, sampling, onToken: { _, _, _ in ContinuousClock.now < deadline }
        ).flatMap { $0 }
        let sampleSeconds = Double((ContinuousClock.now - start) / .seconds(1))
        let sampled = completions.reduce(0) { $0 + $1.tokens.count }

        let sequences = zip(
            chosen.flatMap { Array(repeating: $0.prompt, count: options.samplesPerPrompt) }, completions
        )
        .filter { !$1.tokens.isEmpty }.map { TrainingSequence(prompt: $0, response: $1.tokens) }
        let speed = TrainingSpeed(
            model, sequences, microBatchTokens: options.microBatchTokens, gradients: gradients)

        let samples = options.promptsPerStep * options.samplesPerPrompt
        let promptTokens = Double(chosen.reduce(0) { $0 + $1.prompt.count }) / Double(chosen.count)
        let length = Double(sampled) / Double(max(1, completions.count))
        let sampleRate = Double(sampled) / max(sampleSeconds, 1e-9)
        func stepSeconds(_ length: Double) -> Double {
            let tokens = Double(samples) * length + Double(options.promptsPerStep) * promptTokens
            let passes = Double(options.updatesPerBatch) / Double(options.resolvedMiniBatches)
            // A forward pass alone is about a third of forward and backward.
            let recomputes = options.updatesPerBatch > 1 && options.oldLogProbabilities == .recomputed
            let scorings = (reference == nil ? 0.0 : 1) + (recomputes ? 1 : 0)
            return Double(samples) * length / sampleRate + tokens / speed.tokensPerSecond * (passes + scorings / 3)
                + Double(options.updatesPerBatch) * speed.secondsPerOptimizerUpdate
        }
        let states = 2 + (options.steps - 1) / options.saveEvery
        return RLTrial(
            memory: memory,
            diskBytes: options.diskBytes(ofStates: states, parameters: state.parameters.configuration.parameterCount),
            savedStates: states,
            samplesPerStep: samples, meanPromptTokens: promptTokens, meanResponseTokens: length,
            unfinished: completions.count { $0.finish == .cancelled }, sampledTokensPerSecond: sampleRate,
            trainedTokensPerSecond: speed.tokensPerSecond, secondsPerOptimizerUpdate: speed.secondsPerOptimizerUpdate,
            secondsPerStep: (stepSeconds(length), stepSeconds(Double(options.maximumNewTokens))))
    }

    /// Bytes of memory that the run will take, by what for.
    public var memory: [(what: String, bytes: Int)] {
        let configuration = state.parameters.configuration
        let parameters = configuration.parameterCount
        let longestPrompt = data.problems.reduce(0) { max($0, $1.prompt.count) }
        let longest = longestPrompt + options.maximumNewTokens
        let samples = options.promptsPerStep * options.samplesPerPrompt
        // One sequence at least is run at once.
        let tokens = max(min(options.microBatchTokens, samples * longest), longest)
        let generator = Generator(model)
        let cache = MemoryEstimate.generation(
            configuration, rows: min(samples, generator.maximumRows), group: options.samplesPerPrompt,
            promptTokens: longestPrompt, newTokens: options.maximumNewTokens)
        var parts = [
            ("weights, gradient and two moments", 16 * parameters),
            (
                "activations of \(tokens) tokens",
                MemoryEstimate.training(configuration, tokens: tokens) - 16 * parameters
            ),
            ("cache while sampling", min(cache - 4 * parameters, generator.cacheByteLimit)),
        ]
        if options.splitsGradientNorm { parts.append(("gradient of the control tokens", 4 * parameters)) }
        if reference != nil {
            parts.append(("reference policy", options.referencePrecision.bytesPerParameter * parameters))
        }
        return parts
    }
}
