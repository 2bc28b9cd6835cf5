/// Published settings, by name.
package enum RLPreset: String, Sendable, CaseIterable {
    /// The settings of the authors of Thinkless: their training script and its configuration
    /// (`scripts/rl/thinkless_1.5b_deepscaler.sh`, `ppo_trainer.yaml`, `fsdp_workers.py`).
    case thinkless
}

extension RLOptions {
    /// Replaces the options that a preset sets.
    package mutating func apply(_ preset: RLPreset) {
        switch preset {
        case .thinkless:
            rollout.promptsPerStep = 128
            rollout.samplesPerPrompt = 8
            rollout.maximumPromptTokens = 1024
            rollout.maximumNewTokens = 24_576
            rollout.temperature = 0.6
            loss.kind = .degrpoReleased
            loss.alpha = .fixed(1e-3)
            loss.epsilonLow = 0.2
            loss.epsilonHigh = 0.2
            loss.entropyCoefficient = 1e-3
            loss.advantageScale = .none
            // Mini-batches of 64 of the 128 prompts.
            loss.updatesPerBatch = 2
            loss.miniBatches = nil
            loss.oldLogProbabilities = .recomputed
            loss.klCoefficient = 1e-3
            loss.klEstimator = .k3
            loss.klReduction = .mean
            loss.klLimit = 10
            reward.values = ModeReward.Values(gamma: 0.5)
            reward.answerRule = .boxed
            optimizer.learningRate = 1e-6
            optimizer.schedule = .constant
            optimizer.warmupSteps = 0
            optimizer.beta1 = 0.9
            optimizer.beta2 = 0.95
            optimizer.weightDecay = 0.01
            optimizer.clipNorm = 1
            run.saveEvery = 10
            run.evaluateEvery = 10
        }
    }
}
