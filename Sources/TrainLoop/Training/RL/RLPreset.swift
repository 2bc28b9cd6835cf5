extension RLOptions {
    /// Settings of others, by name.
    public enum Preset: String, Sendable, CaseIterable {
        /// What the authors of Thinkless ran: their training script and its configuration
        /// (`scripts/rl/thinkless_1.5b_deepscaler.sh`, `ppo_trainer.yaml`, `fsdp_workers.py`).
        case thinkless
    }

    /// The options with a preset's settings in place of the defaults.
    public mutating func apply(_ preset: Preset) {
        switch preset {
        case .thinkless:
            promptsPerStep = 128
            samplesPerPrompt = 8
            maximumPromptTokens = 1024
            maximumNewTokens = 24_576
            temperature = 0.6
            loss = .degrpoReleased
            alpha = .fixed(1e-3)
            epsilonLow = 0.2
            epsilonHigh = 0.2
            entropyCoefficient = 1e-3
            advantageScale = .none
            // A mini-batch of 64 of the 128 prompts.
            updatesPerBatch = 2
            miniBatches = nil
            oldLogProbabilities = .recomputed
            klCoefficient = 1e-3
            klEstimator = .k3
            klReduction = .mean
            klLimit = 10
            rewards = ModeReward.Values(gamma: 0.5)
            answerRule = .boxed
            learningRate = 1e-6
            schedule = .constant
            warmupSteps = 0
            beta1 = 0.9
            beta2 = 0.95
            weightDecay = 0.01
            clipNorm = 1
            saveEvery = 10
            evaluateEvery = 10
        }
    }
}
