import CheckpointIO

extension RLTrainer {
    /// Signs, before the first step, that a run will teach nothing or little.
    package var startWarnings: [String] {
        [groupOfOne, beyondPositions, verdictOfWarmUp].compactMap(\.self)
    }

    private var groupOfOne: String? {
        guard options.rollout.samplesPerPrompt == 1 else { return nil }
        return "--samples 1: a group of one answer has no advantage, so rewards teach nothing; give at least 2"
    }

    private var beyondPositions: String? {
        LengthLimit(state.parameters.configuration)
            .excess(prompt: longestPrompt, newTokens: options.rollout.maximumNewTokens)
            .map { $0 + "; answers beyond them are rarely sensible" }
    }

    /// The verdict at the end of the warm-up, unless the model has seen reinforcement learning since.
    private var verdictOfWarmUp: String? {
        let rlCount = state.metadata.lineage.count { LineageEntry(text: $0)?.operation == Self.command }
        guard state.step == 0, rlCount == 1,
            let shortcomings = Readiness(recordedIn: state.history(of: .warmUp))?.shortcomings, !shortcomings.isEmpty
        else { return nil }
        return "the warm-up ended not ready for RL: " + shortcomings.joined(separator: "; ")
    }
}

extension Readiness {
    /// The verdict that a warm-up gave after its last update; nil if nothing was measured then.
    init?(recordedIn history: MetricHistory) {
        func last(_ name: String) -> Double { history[name]?.last ?? .nan }
        func forced(_ mode: Mode) -> ForcedModeResult? {
            let tokens = last("eval_tokens_\(mode)")
            guard tokens.isFinite else { return nil }
            return ForcedModeResult(
                tokens: tokens, accuracy: last("eval_acc_\(mode)"), wellFormed: last("eval_formed_\(mode)"))
        }
        let (pThink, pShort, think, short) = (
            last("p_think_mean"), last("p_short_mean"), forced(.think), forced(.short)
        )
        guard pThink.isFinite || think != nil || short != nil else { return nil }
        self.init(pThink: pThink, pShort: pShort, think: think, short: short)
    }
}
