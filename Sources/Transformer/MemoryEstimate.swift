/// About how many bytes a piece of work will take, so that a run can say so before it starts.
public enum MemoryEstimate {
    /// Training on batches of `tokens` tokens: parameters, gradients and both moments (16 bytes a parameter), the
    /// activations kept for the backward pass, and one chunk of logits. Attention's scratch is left out.
    public static func training(
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

    /// Generating `rows` samples side by side: parameters, and the cache of prompts (each shared by `group` samples)
    /// and new tokens.
    public static func generation(
        _ configuration: ModelConfiguration, rows: Int, group: Int = 1, promptTokens: Int, newTokens: Int
    ) -> Int {
        let prompts = (rows + max(1, group) - 1) / max(1, group)
        return 4 * configuration.parameterCount + rows * PagePool.bytes(forTokens: newTokens, configuration)
            + prompts * PagePool.bytes(forTokens: promptTokens, configuration)
            + 4 * rows * (configuration.vocabularySize + 4 * configuration.hiddenSize)
    }

    private static func head(_ configuration: ModelConfiguration, rows: Int) -> Int {
        4 * min(rows, Model.rowsInChunk(configuration)) * (configuration.vocabularySize + 2 * configuration.hiddenSize)
    }
}
