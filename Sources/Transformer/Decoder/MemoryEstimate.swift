import CheckpointIO

/// Estimates of memory in bytes, for a run to report before it starts.
package enum MemoryEstimate {
    /// The memory of training on batches of `tokens` tokens.
    ///
    /// The sum of parameters, gradients and both moments (16 bytes per parameter), the activations kept for the
    /// backward pass, and one chunk of logits; the scratch memory of attention is not included.
    package static func training(
        _ configuration: ModelConfiguration, tokens: Int, recomputesActivations: Bool = false
    ) -> Int {
        let layer =
            2 * configuration.hiddenSize + configuration.projectedWidth * (configuration.qkNorm ? 2 : 1)
            + configuration.queryWidth + configuration.attentionHeadCount + 2 * configuration.intermediateSize
        let kept =
            recomputesActivations
            ? configuration.layerCount * configuration.hiddenSize + layer : configuration.layerCount * layer
        let passing =
            4 * configuration.hiddenSize + configuration.intermediateSize + configuration.projectedWidth
            + configuration.queryWidth
        return 16 * configuration.parameterCount + 4 * tokens * (kept + passing)
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
