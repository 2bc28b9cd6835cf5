import CheckpointIO
import Foundation
import OrderedJSON
import Ranks
import Transformer

/// Reinforcement learning of the choice of mode: the loop of steps, evaluations, measurements and saves.
///
/// Read `RLStep` first; it is the algorithm.
package struct RLTrainer: StageTrainer {
    package static var command: String { TrainingStage.reinforcement.command }

    package private(set) var state: TrainingState
    package let options: RLOptions
    package var totalSteps: Int { options.run.steps }
    package var summary: RLDataSummary { problems.summary }

    private(set) var problems: ProblemStream
    private(set) var reference: ReferencePolicy?
    let encoder: PromptEncoder
    let model: Model
    let gradients: GradientBuffers
    private(set) var slices: UpdateSlices
    /// Tokens of the longest prompt to train and to evaluate on.
    let longestPrompt: Int

    /// The α that `--alpha auto` computed; nil before the first step, and for other settings.
    private var automaticAlpha: Double?
    /// nil on other ranks than 0, which judges.
    private let reward: (any Reward)?
    private let trained: TrainedParameters
    private let schedule: LearningRateSchedule
    private let evaluationProblems: [Problem]?
    private let servers: RolloutServers?
    private let digests: TrainingDataDigests

    /// Starts a run from `file`, or resumes the run that saved it, with the options that it records.
    ///
    /// `checkMemory` may refuse the memory of parameters and optimizer before it is allocated.
    ///
    /// - Throws: `OptionError`, `TrainingFailure`, `RewardError`, `RankError`, and errors of `PromptEncoder` and
    ///   `TrainingState`.
    package init(
        _ file: CheckpointFile, _ inputs: RLInputs, options: RLOptions, resuming: Bool, ranks: RankGroup = .alone,
        checkMemory: ([MemoryUse]) throws -> Void = { _ in }
    ) throws {
        try options.check()
        var options = options
        options.optimizer.chooseSlices(resuming: resuming, ranks)
        self.options = options
        slices = try UpdateSlices(options.optimizer.slices ?? 1, ranks)
        encoder = try PromptEncoder(file)
        if options.reward.source.needsGroundTruth, let problem = inputs.problems.first(where: { $0.answer == nil }) {
            throw RewardError.missingAnswer(problem: problem.id)
        }
        reward = ranks.isRoot ? try options.reward.makeReward() : nil
        let probe = try ModeProbe.problems(
            given: inputs.probe, carriedBy: file, orFrom: inputs.problems, count: 64, seed: options.run.seed,
            encoder: encoder)
        for problem in inputs.problems + probe { try TrainingFailure.check(level: problem.level, of: problem.id) }
        problems = try ProblemStream(inputs, probe: probe, encoder: encoder, options: options)
        evaluationProblems = inputs.evaluation?.problems
        servers = inputs.servers
        try OptionError.require(
            options.sampler.asyncSteps == 0 || servers != nil,
            "--async-steps is about servers that sample; name them with --rollout-server")
        // Fails now instead of at the first evaluation.
        let evaluationPrompts = try encoder.reader.prompts(for: evaluationProblems ?? [])
        longestPrompt = evaluationPrompts.reduce(problems.longestPrompt) { max($0, $1.count) }
        if !resuming, !inputs.allowsLong {
            try LengthLimit(try ModelConfiguration(json: file.metadata.config))
                .check(prompt: longestPrompt, newTokens: options.rollout.maximumNewTokens)
        }
        schedule = options.optimizer.rateSchedule(totalSteps: options.run.steps)
        digests = TrainingDataDigests(training: inputs.dataDigest, evaluation: inputs.evaluation?.digest)

        let configuration = try ModelConfiguration(json: file.metadata.config)
        trained = try TrainedParameters(
            options.optimizer, of: file, configuration, control: encoder.control, resuming: resuming)
        try checkMemory(
            MemoryUse.parameters(
                of: file, configuration, trained, options.optimizer.moments,
                sharers: options.optimizer.shardsMoments ? ranks.count : 1))
        gradients = GradientBuffers(configuration, trained.layout, options.optimizer.weights)
        if options.optimizer.shardsMoments, ranks.count > 1 {
            slices.shard = OptimizerShard(gradients.all, count: ranks.count, index: ranks.segment)
        }
        let optimizer = options.optimizer.makeOptimizer(
            for: configuration, trained.layout, seed: options.run.seed, shard: slices.shard)
        var stored = JSON.null
        if resuming {
            state = try TrainingState(
                resuming: .reinforcement, from: file, optimizer: optimizer, trained: trained, stored: &stored)
            try digests.check(against: stored)
            try state.goOn(
                .reinforcement, with: options, recorded: options.recorded, totalSteps: options.run.steps, from: file,
                stored: stored)
            automaticAlpha = stored["alpha_in_use"]?.double
            guard automaticAlpha.map({ $0 > 0 && $0.isFinite }) ?? true else {
                throw TrainingStateError.damagedState(file.path, reason: "its alpha_in_use is not a positive number")
            }
            let taken = state.step * options.rollout.promptsPerStep
            problems.position = stored["data_position"]?.int ?? taken
            let (refills, overflows) = state.step.multipliedReportingOverflow(by: options.guards.refill)
            guard problems.position >= taken, problems.position - taken <= (overflows ? 1 << 60 : refills) else {
                throw TrainingStateError.damagedState(
                    file.path, reason: "its data_position \(problems.position) cannot be that of step \(state.step)")
            }
        } else {
            state = try TrainingState(
                starting: .reinforcement, from: file, optimizer: optimizer, trained: trained,
                seed: options.run.seed, options: options.recorded,
                report: [
                    "problems": .integer(problems.summary.problems), "data_sha256": .string(inputs.dataDigest),
                ], probe: ModeProbe.emptyTable(probe))
        }
        if options.loss.klCoefficient == 0 {
            try OptionError.require(
                inputs.reference == nil, "--reference has no effect unless --kl-coefficient is above 0")
        } else if let adapted = state.adapted, inputs.reference == nil, stored["reference"]?["path"]?.string == nil {
            reference = ReferencePolicy(baseOf: adapted, options)
        } else if resuming {
            reference = try ReferencePolicy(
                resuming: file, step: state.step, given: inputs.reference, stored: stored["reference"] ?? .null,
                options, for: configuration)
        } else {
            reference = try ReferencePolicy(inputs.reference, start: file, options, for: configuration)
        }
        model = state.model(products: options.optimizer.products)
        reference?.model.shareMemory(of: model)
        model.activationPrecision = options.optimizer.activations
        model.recomputesActivations = options.optimizer.recomputation.applies(to: memory(recomputing: false))
        if slices.count > 1 { model.fixedParts = UpdateSlices.partsOfSmallModels }
        try ranks.checkSameRun(file, record)
        try state.checkCanBeSaved(.reinforcement, record: record)
    }

    package mutating func run(
        in folder: RunFolder, report: @escaping TrainingReport, shouldStop: @escaping () -> Bool
    ) throws -> String {
        let sync = try connect(in: folder, report)
        var run = try TrainingRun(
            .reinforcement, in: folder, from: state, encoder: encoder, ranks: slices.ranks, report: report,
            shouldStop: shouldStop)
        if slices.ranks.isRoot {
            try FileManager.default.createDirectory(atPath: folder.rolloutsPath, withIntermediateDirectories: true)
        }
        if state.step == 0 {
            try run.probe(&state)
            // A resumed run has this evaluation already.
            if evaluationProblems != nil, state.history(of: .reinforcement).rowCount == 0 {
                var row: MetricRow = ["step": 0]
                row.append(try evaluate(run.report))
                try run.record(row, in: &state)
            }
            try save(&run)
        }
        var pending: PendingSamples?
        while state.step < options.run.steps {
            let position = problems.position
            var row: MetricRow
            do {
                let start = ContinuousClock.now
                let responses = try pending?.wait()
                var step = makeStep(state.step + 1, try sampler(sync), run)
                if let sampler = step.sampler {
                    step.ahead = try responses.map {
                        SamplesAhead(responses: $0, check: try step.check(sampler, problems, after: state))
                    }
                    let waiting = Double((ContinuousClock.now - start) / .seconds(1))
                    pending = try startNextSamples(sampler, run)
                    row = try step.run(&state, &problems, &automaticAlpha)
                    if responses != nil { row.append("seconds_wait", waiting) }
                } else {
                    row = try step.run(&state, &problems, &automaticAlpha)
                }
            } catch let failure as SamplingFailure {
                problems.position = position
                throw try saved(failure, &run)
            }
            if let sync { row.append("seconds_sync", sync.seconds) }

            let isLast = state.step == options.run.steps
            if isLast || state.step.isDue(every: options.run.evaluateEvery) { row.append(try evaluate(run.report)) }
            try run.record(row, in: &state)
            run.report(.step(state.step, of: options.run.steps, metrics: row))

            let isFull = !isLast && !state.hasRoomForStep(of: .reinforcement)
            let stops = try run.stops() || isFull
            if stops || isLast || state.step.isDue(every: options.run.probeEvery) { try run.probe(&state) }
            let isDue = state.step.isDue(every: options.run.saveEvery) || run.deltaCount == TrainingRun.mostDeltas
            if stops || isLast || isDue {
                try save(&run)
            } else if options.run.keepsDeltas {
                try run.keepDelta(state)
            }
            if isFull { throw TrainingFailure.fullHistory }
            if stops { break }
        }
        return run.lastSaved ?? folder.checkpointPath(step: state.step)
    }

    /// The stage's own part of a saved training state.
    private var record: [(String, JSON)] {
        var record: [(String, JSON)] = [("options", options.recorded)]
        record += digests.json
        record += [
            ("data_position", .integer(problems.position)),
            ("alpha_in_use", automaticAlpha.map { .double($0) } ?? .null),
        ]
        if let reference { record.append(("reference", reference.json)) }
        return record
    }

    private mutating func save(_ run: inout TrainingRun) throws {
        try run.save(state, record: record, options.run, slices)
        try reference?.startWasSaved(to: run.folder.checkpointPath(step: state.step))
    }

    // MARK: - Servers

    /// Connects to the servers that sample, and brings them the weights; nil if the responses are sampled here.
    ///
    /// - Throws: `TrainingFailure.sampling`, and errors of writing.
    private func connect(in folder: RunFolder, _ report: TrainingReport) throws -> WeightSync? {
        guard let servers, state.step < options.run.steps else { return nil }
        do {
            let sync = try WeightSync(servers, state, in: folder, options)
            for server in sync.servers {
                report(.note("sampling on \(server.address.base) (\(server.kind.rawValue)), \(sync.description)"))
            }
            return sync
        } catch let failure as SamplingFailure {
            let lastSaved = state.step > 0 ? folder.checkpointPath(step: state.step) : nil
            throw TrainingFailure.sampling(failure.reason, step: state.step + 1, lastGood: lastSaved)
        }
    }

    /// The servers with the present weights; nil if the responses are sampled here.
    ///
    /// - Throws: `SamplingFailure`, and errors of writing.
    private func sampler(_ sync: WeightSync?) throws -> ServerSampler? {
        guard let sync, let servers else { return nil }
        try sync.send(state)
        return ServerSampler(
            servers: sync.servers, concurrency: servers.concurrency,
            vocabularySize: state.parameters.configuration.vocabularySize)
    }

    private func makeStep(_ number: Int, _ sampler: ServerSampler?, _ run: TrainingRun) -> RLStep {
        RLStep(
            number: number, options: options, encoder: encoder, reward: reward, model: model, reference: reference,
            trained: trained, learningRate: schedule.rateOfNextUpdate(after: state.step), gradients: gradients,
            slices: slices, levelNames: problems.levelNames, sampler: sampler, training: run)
    }

    /// Starts to sample the responses of the step after the next one; nil if they are to be sampled in their own step.
    ///
    /// The order of the problems is not touched: that step takes the same ones.
    ///
    /// - Throws: `ThreadError`.
    private func startNextSamples(_ sampler: ServerSampler, _ run: TrainingRun) throws -> PendingSamples? {
        guard options.sampler.asyncSteps > 0, state.step + 2 <= options.run.steps else { return nil }
        var ahead = problems
        _ = ahead.take(options.rollout.promptsPerStep)
        let (next, firstKey) = ahead.take(options.rollout.promptsPerStep)
        let step = makeStep(state.step + 2, sampler, run)
        return try PendingSamples(
            sampler, step.requests(for: next, from: firstKey), step.sampling,
            shortLimit: options.rollout.maximumShortTokens, control: encoder.control)
    }

    /// Saves the state, which a failure of the servers leaves as it was, and returns the error that names it.
    ///
    /// - Throws: errors of saving.
    private mutating func saved(_ failure: SamplingFailure, _ run: inout TrainingRun) throws -> TrainingFailure {
        if run.lastSaved != run.folder.checkpointPath(step: state.step) {
            try run.probe(&state)
            try save(&run)
        }
        return .sampling(failure.reason, step: state.step + 1, lastGood: run.lastSaved)
    }

    /// Measures accuracy on the dev problems, free and with each mode forced; an empty row if there are none.
    private func evaluate(_ report: TrainingReport) throws -> MetricRow {
        guard let evaluationProblems else { return [:] }
        let start = ContinuousClock.now
        var chosen = Evaluation.Options()
        chosen.conditions = [.auto, .think, .short]
        chosen.prompt = .plain
        chosen.temperature = options.rollout.temperature
        chosen.topP = 1
        chosen.maximumNewTokens = options.rollout.maximumNewTokens
        chosen.rule = options.reward.answerRule
        chosen.seed = options.run.seed
        chosen.cachePrecision = options.rollout.cachePrecision
        chosen.cacheByteLimit = options.rollout.makeGenerator(model).cacheByteLimit
        let result = try withoutActuallyEscaping(report) { report in
            var hooks = EvaluationHooks()
            hooks.progress = { report(.progress(phase: "evaluation", done: $0, total: $1)) }
            return try Evaluation(
                evaluationProblems, encoder: encoder, model: model, options: chosen, reward: reward, hooks: hooks,
                ranks: slices.ranks)
        }
        report(.evaluation(step: state.step, result))
        let (free, think, short) = (result.summary(.auto), result.summary(.think), result.summary(.short))
        return [
            "eval_acc": free.accuracy, "eval_acc_think": think.accuracy, "eval_acc_short": short.accuracy,
            "eval_think_share": free.thinkShare, "eval_p_think": free.pThink, "eval_tokens": free.meanTokens,
            "eval_tokens_think": think.meanTokens, "eval_tokens_short": short.meanTokens,
            "seconds_eval": Double((ContinuousClock.now - start) / .seconds(1)),
        ]
    }
}
