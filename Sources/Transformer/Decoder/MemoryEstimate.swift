import CheckpointIO

/// Estimates of memory in bytes, for a run to report before it starts.
package enum MemoryEstimate {
    /// The memory of a forward and a backward pass over `tokens` tokens in sequences of up to `longest` tokens.
    ///
    /// The sum of the activations kept for the backward pass, what the passes need besides, the scratch memory of
    /// attention and of matrix products, and one chunk of logits.
    package static func passes(
        _ configuration: ModelConfiguration, _ trained: TrainedLayout, tokens: Int, longest: Int,
        recomputesActivations: Bool, _ precision: ActivationPrecision = .fp32
    ) -> Int {
        let gateUp = 2 * configuration.intermediateSize
        let layer =
            2 * configuration.hiddenSize + configuration.projectedWidth * (configuration.qkNorm ? 2 : 1)
            + configuration.queryWidth + configuration.attentionHeadCount
        let layers = configuration.layerCount - (trained.firstLayer(of: configuration) ?? 0)
        let kept =
            recomputesActivations
            ? layers * configuration.hiddenSize * precision.byteCount + 4 * layer : 4 * layers * (layer + gateUp)
        let passing = 4 * configuration.hiddenSize + configuration.projectedWidth + configuration.queryWidth
        let mlp =
            min(tokens, DecoderPass.mlpTokens) * (configuration.intermediateSize + (recomputesActivations ? gateUp : 0))
        let length = max(1, min(tokens, longest))
        let sequence = [Int](repeating: 0, count: length)
        let layout = BatchLayout(PackedBatch(Array(repeating: sequence, count: (tokens + length - 1) / length)))
        let attention = Attention(configuration).scratchCount(.everyone, layout, backward: true)
        return tokens * (kept + 4 * passing) + 4 * (mlp + attention) + PackedGEMM.largestScratch
            + head(configuration, rows: tokens)
    }

    /// The memory of generating samples.
    ///
    /// The sum of parameters, the key-value cache, and the activations of one step.
    ///
    /// - Parameters:
    ///   - configuration: the model.
    ///   - rows: samples generated at the same time.
    ///   - group: samples that share each prompt.
    ///   - promptTokens: tokens of the longest prompt.
    ///   - newTokens: tokens of the longest sample.
    ///   - cachePrecision: the number format of the cache.
    ///   - cacheByteLimit: the bytes of the cache, unless one sample needs more.
    /// - Returns: bytes.
    package static func generation(
        _ configuration: ModelConfiguration, rows: Int, group: Int = 1, promptTokens: Int, newTokens: Int,
        cachePrecision: CachePrecision = .fp32, cacheByteLimit: Int = .max
    ) -> Int {
        let prompts = (rows + max(1, group) - 1) / max(1, group)
        let ofPrompt = KVPage.bytes(tokens: promptTokens, configuration, cachePrecision)
        let ofSample = KVPage.bytes(tokens: newTokens, configuration, cachePrecision)
        let cache = min(prompts * ofPrompt + rows * ofSample, max(cacheByteLimit, ofPrompt + ofSample))
        return 4 * configuration.parameterCount + cache
            + 4 * rows * (configuration.vocabularySize + 4 * configuration.hiddenSize)
    }

    /// One chunk of logits with its hidden states.
    private static func head(_ configuration: ModelConfiguration, rows: Int) -> Int {
        4 * min(rows, Model.rowsInChunk(configuration)) * (configuration.vocabularySize + 2 * configuration.hiddenSize)
    }
}
