import CheckpointIO
import Foundation
import OrderedJSON
import Ranks
import Transformer

// The warm-up (Thinkless, arXiv 2505.13379, section 3.1): supervised fine-tuning on pairs of a long and a short answer,
// so that the model masters both modes before reinforcement learning teaches it to choose.
//
// For a prompt x with the responses y_1 = <think> working </think> answer <eos> and y_2 = <short> answer <eos>, an
// update takes the pairs of `BatchPlan` and minimises, over all their responses y_i of |y_i| tokens,
//
//     --loss-reduction token:     loss = −1/Σ_i |y_i| · Σ_i Σ_t log π(y_it | x_i, y_i,<t)
//     --loss-reduction sequence:  loss = −1/N · Σ_i 1/|y_i| · Σ_t log π(y_it | x_i, y_i,<t)
//
// with AdamW, a learning-rate schedule and gradient clipping. The divisors are those of the whole update, so its
// division into micro-batches changes only rounding. Departures from the authors' code (VainF/Reasoning-SFT):
//
// - It also trains the assistant header, which is given at inference; here the whole prompt is masked.
// - It shuffles single responses, which separates the halves of a pair; here both are in the same update.
// - It clips long responses, which lose their end token; here the pair is dropped, unless `--overlong clip` is given.
// - The rows of the control tokens learn faster (`--control-lr-scale`), because they are new to the model.
//
// Read `run` and `update` first; `SFTBatch` computes loss and gradient, `HeldOutCheck` the measurements.

/// The warm-up of a model on pairs of a long and a short answer.
package struct SFTTrainer: StageTrainer {
    package static var command: String { TrainingStage.warmUp.command }

    package private(set) var state: TrainingState
    package let options: SFTOptions
    package let totalSteps: Int
    package let summary: SFTDataSummary

    let pairs: [TrainingPair]
    private(set) var plan: BatchPlan
    let model: Model
    /// Gradient buffer, reused across updates to avoid reallocation.
    let gradients: ModelParameters
    private(set) var slices: UpdateSlices

    private let encoder: PromptEncoder
    private let schedule: LearningRateSchedule
    private let trained: TrainedParameters
    private let heldOut: HeldOutCheck
    /// The stage's own part of a saved training state.
    private let record: [(String, JSON)]

    /// Starts a run from `file`, or resumes the run that saved it, with the options that it records.
    ///
    /// `checkMemory` may refuse the memory of parameters and optimizer before it is allocated.
    ///
    /// - Throws: `OptionError`, `TrainingFailure`, `RankError`, and errors of `PromptEncoder` and `TrainingState`.
    package init(
        _ file: CheckpointFile, _ inputs: SFTInputs, options: SFTOptions, resuming: Bool, ranks: RankGroup = .alone,
        checkMemory: ([MemoryUse]) throws -> Void = { _ in }
    ) throws {
        try options.check()
        encoder = try PromptEncoder(file)
        var options = options
        options.optimizer.chooseSlices(resuming: resuming, ranks)
        slices = try UpdateSlices(options.optimizer.slices ?? 1, ranks)
        if !resuming, !inputs.allowsLong, encoder.reader.positions < options.data.maximumLength {
            options.data.positions = encoder.reader.positions
        }
        let probe = try ModeProbe.problems(
            given: inputs.probe, carriedBy: file, orFrom: inputs.pairs.map(\.asProblem),
            count: options.evaluation.probeCount, seed: options.run.seed, encoder: encoder)
        for pair in inputs.pairs { try TrainingFailure.check(level: pair.level, of: pair.id) }
        for problem in probe { try TrainingFailure.check(level: problem.level, of: problem.id) }
        let data = try SFTData(inputs, probe: probe, encoder: encoder, options: options.data)
        (pairs, summary) = (data.pairs, data.summary)
        // A state names the positions only if they matter.
        if !resuming, summary.beyondPositions == 0 { options.data.positions = nil }
        self.options = options
        heldOut = HeldOutCheck(
            sequences: data.heldOut.flatMap(\.sequences), problems: data.heldOutProblems, options: options)
        var plan = BatchPlan(
            tokens: pairs.map(\.tokens), pairsPerStep: options.data.pairsPerStep,
            tokensPerStep: options.data.tokensPerStep, seed: options.run.seed,
            shuffles: options.data.order == .shuffled)
        totalSteps = options.run.steps ?? plan.steps(epochs: options.run.epochs)
        self.plan = plan
        schedule = options.optimizer.rateSchedule(totalSteps: totalSteps)

        let digests = TrainingDataDigests(training: inputs.dataDigest, evaluation: inputs.evaluation?.digest)
        let configuration = try ModelConfiguration(json: file.metadata.config)
        trained = try TrainedParameters(
            options.optimizer, of: file, configuration, control: encoder.control,
            controlScale: options.loss.controlLearningRateScale, resuming: resuming)
        try checkMemory(
            MemoryUse.parameters(
                of: file, configuration, trained, options.optimizer.moments,
                sharers: options.optimizer.shardsMoments ? ranks.count : 1))
        gradients = ModelParameters(configuration, trained.layout, options.optimizer.weights)
        if options.optimizer.shardsMoments, ranks.count > 1 {
            slices.shard = OptimizerShard(gradients, count: ranks.count, index: ranks.segment)
        }
        let optimizer = options.optimizer.makeOptimizer(
            for: configuration, trained.layout, seed: options.run.seed, shard: slices.shard)
        let resolved = options.json(totalSteps: totalSteps)
        record = [("options", resolved)] + digests.json
        if resuming {
            var stored = JSON.null
            state = try TrainingState(
                resuming: .warmUp, from: file, optimizer: optimizer, trained: trained, stored: &stored)
            try digests.check(against: stored)
            try state.goOn(
                .warmUp, with: options, recorded: resolved, totalSteps: totalSteps, from: file, stored: stored)
        } else {
            state = try TrainingState(
                starting: .warmUp, from: file, optimizer: optimizer, trained: trained, seed: options.run.seed,
                options: resolved,
                report: ["pairs": .integer(pairs.count), "data_sha256": .string(inputs.dataDigest)],
                probe: ModeProbe.emptyTable(probe))
        }
        model = state.model(products: options.optimizer.products)
        model.activationPrecision = options.optimizer.activations
        model.recomputesActivations = options.optimizer.recomputation.applies(to: memory(recomputing: false))
        if slices.count > 1 { model.fixedParts = UpdateSlices.partsOfSmallModels }
        try ranks.checkSameRun(file, record)
        try state.checkCanBeSaved(.warmUp, record: record)
    }

    package mutating func run(
        in folder: RunFolder, report: @escaping TrainingReport, shouldStop: @escaping () -> Bool
    ) throws -> String {
        var run = try TrainingRun(
            .warmUp, in: folder, from: state, encoder: encoder, ranks: slices.ranks, report: report,
            shouldStop: shouldStop)
        if state.step == 0 { try run.probe(&state) }
        let report = run.report
        while state.step < totalSteps {
            var row = try update(&run)
            let isLast = state.step == totalSteps
            let isEvaluated = isLast || state.step.isDue(every: options.run.evaluateEvery)
            if isEvaluated || state.step.isDue(every: options.run.probeEvery) {
                try run.probe(&state)
                if let preference = state.probedPreference {
                    row.append(["p_think_mean": preference.think, "p_short_mean": preference.short])
                }
            }
            var readiness: Readiness?
            if isEvaluated {
                let (metrics, verdict) = try evaluate()
                report(.heldOut(step: state.step, metrics: metrics))
                row.append(metrics)
                readiness = verdict
            }
            try run.record(row, in: &state)
            report(.step(state.step, of: totalSteps, metrics: row))

            let isFull = !isLast && !state.hasRoomForStep(of: .warmUp)
            let stops = try run.stops() || isFull
            if stops || isLast || state.step.isDue(every: options.run.saveEvery) {
                try run.probe(&state)
                try save(&run)
                if isLast { report(.readiness(readiness)) }
            }
            if isFull { throw TrainingFailure.fullHistory }
            if stops { break }
        }
        return run.lastSaved ?? folder.checkpointPath(step: state.step)
    }

    /// One update of the model.
    private mutating func update(_ run: inout TrainingRun) throws -> MetricRow {
        let start = ContinuousClock.now
        let chosen = plan.pairs(of: state.step).map { pairs[$0] }
        let batch = SFTBatch(chosen.flatMap(\.sequences), reduction: options.loss.reduction)

        let totals = try batch.accumulate(
            model, microBatchTokens: options.optimizer.microBatchTokens, into: gradients, slices: slices,
            seed: (options.run.seed, state.step, state.optimizer.step))
        let norm = totals.loss.isFinite ? try slices.norm(gradients) : .nan
        guard totals.loss.isFinite, norm.isFinite else { throw try nonFiniteFailure(chosen, totals, &run) }

        let rate = schedule.rateOfNextUpdate(after: state.step)
        trained.update(
            &state, gradients: gradients, norm: norm, learningRate: rate, clipNorm: options.optimizer.clipNorm)
        try slices.shareWeights(state.parameters, through: gradients)
        state.step += 1
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        return [
            "step": Double(state.step), "loss": totals.loss, "control_loss": totals.controlLoss,
            "think_loss": totals.thinkLoss, "short_loss": totals.shortLoss, "grad_norm": norm, "lr": rate,
            "response_tokens": Double(totals.tokenCount), "tokens": Double(batch.tokenCount),
            "tokens_per_second": Double(batch.tokenCount) / seconds,
        ]
    }

    /// Measures on held-out data; no readiness if there is nothing to judge by.
    private func evaluate() throws -> (metrics: MetricRow, readiness: Readiness?) {
        var metrics = try heldOut.losses(model, slices.ranks)
        var forced: [Mode: ForcedModeResult] = [:]
        for mode in Mode.allCases {
            forced[mode] = try heldOut.forced(mode, model, encoder, slices.ranks)
            if let result = forced[mode] { metrics.append(result.metrics(mode)) }
        }
        let preference = state.probedPreference
        let isMeasured = preference != nil || !forced.isEmpty
        return (
            // The accuracy is NaN if no answer is known.
            metrics.finite,
            isMeasured
                ? Readiness(
                    pThink: preference?.think ?? .nan, pShort: preference?.short ?? .nan, think: forced[.think],
                    short: forced[.short]) : nil
        )
    }

    /// Saves the state, unless it holds numbers that are not finite: it must not replace one that can be resumed.
    private mutating func save(_ run: inout TrainingRun) throws {
        if let (name, count) = state.parameters.firstNotFinite {
            throw TrainingFailure.notFinite(
                what: "\(name) after the update (\(count) \(count == 1 ? "number" : "numbers"), because the learning "
                    + "rate is too high)", step: state.step, lastGood: run.lastSaved)
        }
        if let record = state.metadata.tokenizer, state.step > 0 {
            let control = Set(encoder.control.rows)
            for (index, token) in record.addedTokens.enumerated() where control.contains(token.id) {
                state.metadata.tokenizer?.addedTokens[index].trained = true
            }
        }
        try run.save(state, record: record, options.run, slices)
    }

    /// The error for a loss or gradient that is not finite; saves the state before it, if that is finite.
    private mutating func nonFiniteFailure(
        _ chosen: [TrainingPair], _ totals: SFTBatch.Totals, _ run: inout TrainingRun
    ) throws -> TrainingFailure {
        let search = NonFiniteSearch(
            model: model, parameters: state.parameters, options: options, scratch: gradients)
        let what = search.source(in: chosen, totals)
        let failedStep = state.step + 1
        let isSaved = run.lastSaved == run.folder.checkpointPath(step: state.step)
        if state.step > 0, !isSaved, state.parameters.firstNotFinite == nil { try save(&run) }
        return .notFinite(what: what, step: failedStep, lastGood: run.lastSaved)
    }
}
