import OrderedJSON
import Transformer

/// The divisor of a batch's loss.
package enum LossReduction: String, Sendable, CaseIterable {
    /// All response tokens of the batch, so that long answers weigh more (as in the authors' code).
    case token
    /// Each response's own tokens, then the number of responses.
    case sequence
}

/// The treatment of a sample that is longer than `SFTDataOptions.maximumLength`.
package enum OverlongPolicy: String, Sendable, CaseIterable {
    /// Its whole pair is left out and counted.
    case drop
    /// Its end is cut off, including the end token (as the authors did).
    case clip
}

package enum PairOrder: String, Sendable, CaseIterable {
    /// A new shuffle in every epoch.
    case shuffled
    /// The order of the file.
    case file
}

/// The options of the SFT warm-up, with the defaults of `ckpt train-sft`.
package struct SFTOptions: TrainingOptions {
    package var run = SFTRunOptions()
    package var data = SFTDataOptions()
    package var loss = SFTLossOptions()
    package var evaluation = SFTEvaluationOptions()
    package var optimizer = OptimizerOptions(
        learningRate: 1e-4, schedule: .cosine, finalLearningRateShare: 0.1, beta2: 0.95, weightDecay: 0.1)

    package init() {}

    /// The resolved options as a checkpoint records them.
    func json(totalSteps: Int) -> JSON {
        var resolved = self
        resolved.run.steps = totalSteps
        resolved.run.saveEvery = run.saveEvery ?? totalSteps
        resolved.optimizer.warmupSteps = optimizer.resolvedWarmup(totalSteps)
        return resolved.recorded
    }
}

/// The length of a warm-up, and when it saves and measures.
package struct SFTRunOptions: RunOptions {
    /// Updates in total; nil: as many as `epochs` passes over the data take.
    package var steps: Int?
    package var lastStep: Int? { steps }
    package var epochs = 1.0
    package var seed: UInt64 = 0
    /// Steps between saved states; nil: only the last is saved.
    package var saveEvery: Int?
    package var keepLast = 1
    package var savedContent = SavedContent.complete
    /// Steps between measurements of the probe, besides those at saves and evaluations.
    package var probeEvery: Int?
    /// Steps between evaluations on held-out pairs; nil: only after the last.
    package var evaluateEvery: Int?
}

/// The pairs of an update.
package struct SFTDataOptions: Sendable, Equatable {
    /// Pairs in one update; each contributes both of its halves.
    package var pairsPerStep = 16
    /// Tokens of prompts and responses in one update, instead of a number of pairs.
    ///
    /// Pairs are added while they fit; an update has at least one.
    package var tokensPerStep: Int?
    package var order = PairOrder.shuffled
    /// The largest number of tokens of a prompt with its response.
    package var maximumLength = 2048
    package var overlong = OverlongPolicy.drop
    /// The positions of the model, where samples of the data exceed them and not `maximumLength`; they count as too
    /// long.
    package var positions: Int?

    /// The largest number of tokens that is trained on.
    var limit: Int { min(maximumLength, positions ?? .max) }

    package init() {}
}

package struct SFTLossOptions: Sendable, Equatable {
    package var reduction = LossReduction.token
    /// Factor on the learning rate of the control tokens' rows in embedding and head.
    package var controlLearningRateScale = 10.0
}

/// The measurements on held-out data.
package struct SFTEvaluationOptions: Sendable, Equatable {
    /// Problems in the mode probe, if they are chosen from the data.
    package var probeCount = 64
    /// Held-out problems that are sampled with each mode forced; 0: none.
    package var problems = 16
    /// The largest number of tokens of such a sample.
    package var maximumNewTokens = 256
    /// Where the answer of such a sample is found.
    package var answerRule = AnswerRule.any
}

extension SFTOptions {
    package static let fields: [OptionField<SFTOptions>] = [
        .optionalInt("steps", "--steps", \.run.steps, 1...1 << 40),
        .double("epochs", "--epochs", \.run.epochs, .epochs).optionalInOldCheckpoints,
        .int("pairs_per_step", "--batch-pairs", \.data.pairsPerStep, 1...1 << 20),
        .microBatch,
        .int("max_length", "--max-length", \.data.maximumLength, 8...1 << 40),
        .choice("overlong", "--overlong", \.data.overlong),
        .optionalInt("positions", "--allow-long", \.data.positions, 1...1 << 40).recordedIfSet,
        .choice("loss_reduction", "--loss-reduction", \.loss.reduction),
        .learningRate,
        .double("control_lr_scale", "--control-lr-scale", \.loss.controlLearningRateScale, .notNegative),
        .schedule, .scheduleSteps, .finalLearningRateShare, .warmup, .beta1, .beta2, .epsilon(key: "epsilon"),
        .weightDecay, .clipNorm,
        .freeze, .adapters, .recomputation, .activations, .seed,
        .optionalInt("save_every", "--save-every", \.run.saveEvery, 1...1 << 40),
        .keepLast, .savedContent,
        .int("probe_count", "--probe", \.evaluation.probeCount, 0...1 << 20),
        .optionalInt("tokens_per_step", "--batch-tokens", \.data.tokensPerStep, 1...1 << 40).optionalInOldCheckpoints,
        .trainRows,
        .choice("order", "--order", \.data.order).optionalInOldCheckpoints,
        .optionalInt("probe_every", "--probe-every", \.run.probeEvery, 1...1 << 40).optionalInOldCheckpoints,
        .optionalInt("eval_every", "--eval-every", \.run.evaluateEvery, 1...1 << 40).optionalInOldCheckpoints,
        .int("eval_problems", "--eval-problems", \.evaluation.problems, 0...1 << 40).optionalInOldCheckpoints,
        .int("eval_max_new_tokens", "--eval-max-new-tokens", \.evaluation.maximumNewTokens, 1...1 << 40)
            .optionalInOldCheckpoints,
        .choice("answer_rule", "--answer", \.evaluation.answerRule).optionalInOldCheckpoints,
        .products, .moments, .weights, .slices, .shardsMoments,
    ]

    package func checkCombinations() throws {
        try checkSharedCombinations()
    }
}
