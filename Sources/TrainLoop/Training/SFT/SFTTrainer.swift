import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// The SFT warm-up: paired long and short answers, both halves of a pair in the same update.
///
/// Loss on the control token, the response and the end token; the prompt is masked. The method's released code also
/// trains the assistant header, which is left out on purpose: at inference the header is given.
public struct SFTTrainer {
    public private(set) var state: TrainingState
    public let encoder: PromptEncoder
    public let options: SFTOptions
    public let totalSteps: Int
    public let summary: SFTDataSummary

    let pairs: [TrainingPair]
    private(set) var plan: BatchPlan
    private let heldOut: HeldOutCheck
    private let about: [(String, JSON)]
    private let schedule: LearningRateSchedule

    let model: Model
    private let frozen: FrozenParameters
    private let rows: TrainedRows
    /// Of the update under way; kept so that its memory is.
    let gradients: ModelParameters

    static let command = "train-sft"

    /// - Parameters:
    ///   - file: where to start; with `resuming`, the state to go on from.
    ///   - evaluation: pairs to measure on, with the digest of their file; nil: those pairs of the data whose problems
    ///     are in the probe. Kept out of training in any case.
    ///   - probe: problems for the mode probe; nil: the set that the checkpoint carries, or one chosen from `pairs`;
    ///     kept out of training in any case.
    ///   - dataDigest: names the data, so that a resumed run can tell that it is the same.
    /// - Throws: `TrainingFailure.emptyData`, and errors of `PromptEncoder` and `TrainingState`.
    public init(
        _ file: CheckpointFile, pairs data: [Pair], evaluation: (pairs: [Pair], digest: String)? = nil,
        probe: [Problem]?, dataDigest: String, options: SFTOptions, resuming: Bool = false
    ) throws {
        try options.check()
        encoder = try PromptEncoder(file)
        self.options = options

        // A resumed run must leave out the prompts that it left out before, which its own table names.
        let carried = probe == nil ? file.metadata.probes.last : nil
        let probeProblems =
            carried.map { table in
                zip(table.prompts, table.levels).map { Problem(id: "", problem: $0, level: $1.isEmpty ? nil : $1) }
            } ?? probe
            ?? ModeProbe.choose(
                data.map(Problem.init(asking:)), count: min(options.probeCount, data.count / 10), seed: options.seed)
        let read = try SFTData(
            data, evaluation: evaluation?.pairs, probe: probeProblems, encoder: encoder, options: options)
        pairs = read.pairs
        summary = read.summary
        heldOut = HeldOutCheck(
            sequences: read.heldOut.flatMap(\.sequences), problems: read.heldOutProblems,
            options: HeldOutCheck.Options(
                sampled: options.evaluationProblems, maximumNewTokens: options.evaluationTokens,
                rule: options.answerRule, seed: options.seed, microBatchTokens: options.microBatchTokens))
        var plan = BatchPlan(
            tokens: pairs.map(\.tokens), pairsPerStep: options.pairsPerStep, tokensPerStep: options.tokensPerStep,
            seed: options.seed, shuffles: options.order == .shuffled)
        let total = options.steps ?? plan.steps(epochs: options.epochs)
        self.plan = plan
        totalSteps = total
        schedule = LearningRateSchedule(
            shape: options.schedule, peak: options.learningRate, warmUpSteps: options.resolvedWarmup(total),
            totalSteps: total, floorRatio: options.finalLearningRateShare)
        about = [
            ("options", options.json(totalSteps: total)), ("data_sha256", .string(dataDigest)),
            ("eval_data_sha256", evaluation.map { .string($0.digest) } ?? .null),
        ]

        if resuming {
            let (resumed, stored) = try TrainingState.resuming(
                file, command: Self.command, optimizer: options.optimizer(for:))
            guard stored["data_sha256"]?.string == dataDigest else { throw TrainingFailure.dataChanged("--data") }
            guard stored["eval_data_sha256"]?.string == evaluation?.digest else {
                throw TrainingFailure.dataChanged("--eval-data")
            }
            state = resumed
        } else {
            state = try TrainingState(starting: file, optimizer: options.optimizer(for:))
            state.metadata.lineage.append(
                LineageEntry(
                    operation: Self.command, arguments: options.json(totalSteps: total), parent: file.digest,
                    tool: Tool.name, report: ["pairs": .integer(pairs.count), "data_sha256": .string(dataDigest)]
                ).text)
            state.metadata.history["sft"] = MetricHistory()
            if !probeProblems.isEmpty { state.metadata.probes.append(ModeProbe.emptyTable(probeProblems)) }
        }
        model = Model(state.parameters, products: options.products)
        let configuration = state.parameters.configuration
        rows = TrainedRows(encoder.control, in: configuration, only: options.trainRows == .control)
        frozen = try FrozenParameters(options.freeze, and: rows.frozen(in: configuration), in: configuration)
        gradients = ModelParameters(configuration)
    }

    /// Runs to the last step, or until `report` answers `.stop`.
    ///
    /// - Returns: the path of the last state saved.
    public mutating func run(
        in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> String {
        let log = try RunLog(folder, after: state.step)
        var lastSaved: String?
        if state.step > 0 { lastSaved = folder.checkpointPath(step: state.step) }
        if state.step == 0 { try probe(report) }
        while state.step < totalSteps {
            var metrics = try update(in: folder, lastSaved: lastSaved, report: report)
            let isLast = state.step == totalSteps
            func isDue(_ every: Int?) -> Bool { every.map { state.step % $0 == 0 } ?? false }
            if isLast || isDue(options.probeEvery) || isDue(options.evaluateEvery) {
                try probe(report)
                metrics += preference.map { [("p_think_mean", $0.think), ("p_short_mean", $0.short)] } ?? []
            }
            var verdict: TrainingEvent?
            if isLast || isDue(options.evaluateEvery) {
                let found = try evaluate(report)
                metrics += found.metrics
                verdict = .readiness(found.readiness)
            }
            try log.append(step: state.step, metrics)
            state.metadata.history["sft", default: MetricHistory()].append(metrics)
            let stops = report(.step(state.step, of: totalSteps, metrics: metrics)) == .stop
            if stops || isLast || isDue(options.saveEvery) {
                try probe(report)
                lastSaved = try save(in: folder, lastGood: lastSaved, report: report)
                if isLast, let verdict { _ = report(verdict) }
                if stops { break }
            }
        }
        return lastSaved ?? folder.checkpointPath(step: state.step)
    }

    private mutating func save(
        in folder: RunFolder, lastGood: String?, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> String {
        // A state that cannot be gone on from must not take a good one's place.
        if let (name, count) = NotFinite.tensor(in: state.parameters) {
            throw TrainingFailure.notFinite(
                what: "\(count) numbers of \(name) after the update, that is the learning rate's doing: it",
                step: state.step, lastGood: lastGood)
        }
        if let record = state.metadata.tokenizer {
            let rows = Set(self.rows.control)
            for (index, token) in record.addedTokens.enumerated() where rows.contains(token.id) && state.step > 0 {
                state.metadata.tokenizer?.addedTokens[index].trained = true
            }
        }
        let path = folder.checkpointPath(step: state.step)
        let written = try state.save(to: path, command: Self.command, about: about, overwrite: true)
        try folder.retire(keepingLast: options.keepLast)
        _ = report(.saved(path: path, byteCount: written.fileByteCount))
        return path
    }

    private mutating func probe(_ report: (TrainingEvent) -> TrainingDisposition) throws {
        guard let last = state.metadata.probes.indices.last, state.metadata.probes[last].steps.last != state.step else {
            return
        }
        try ModeProbe.record(
            &state.metadata.probes[last], step: state.step, encoder: encoder, parameters: state.parameters)
        _ = report(.probe(step: state.step, byLevel: state.metadata.probes[last].latestByLevel))
    }

    /// Measures on what was held out; no readiness where there is nothing to judge by.
    private mutating func evaluate(
        _ report: (TrainingEvent) -> TrainingDisposition
    ) throws -> (metrics: [(name: String, value: Double)], readiness: Readiness?) {
        var metrics = heldOut.losses(model)
        var forced: [Mode: HeldOutCheck.Forced] = [:]
        if options.evaluationProblems > 0, !heldOut.problems.isEmpty {
            for mode in Mode.allCases {
                let found = try heldOut.forced(mode, model, encoder)
                forced[mode] = found
                metrics += [
                    ("eval_acc_\(mode)", found.accuracy), ("eval_tokens_\(mode)", found.tokens),
                    ("eval_formed_\(mode)", found.wellFormed),
                ]
            }
        }
        // There is no accuracy where no truth is known.
        metrics.removeAll { !$0.value.isFinite }
        _ = report(.heldOut(step: state.step, metrics: metrics))
        let preference = preference
        guard preference != nil || !forced.isEmpty else { return (metrics, nil) }
        return (
            metrics,
            Readiness(
                pThink: preference?.think ?? .nan, pShort: preference?.short ?? .nan, think: forced[.think],
                short: forced[.short])
        )
    }

    /// Means over the probe's newest snapshot; nil without a probe.
    private var preference: (think: Double, short: Double)? {
        guard let table = state.metadata.probes.last, let think = table.pThink.last, let short = table.pShort.last,
            !think.isEmpty
        else { return nil }
        func mean(_ row: [Double]) -> Double { row.reduce(0, +) / Double(row.count) }
        return (mean(think), mean(short))
    }

    /// One update. The gradient is that of the whole batch, however it is cut into micro-batches.
    private mutating func update(
        in folder: RunFolder, lastSaved: String?, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [(name: String, value: Double)] {
        let start = ContinuousClock.now
        let chosen = plan.pairs(of: state.step).map { pairs[$0] }
        let batch = SFTBatch(chosen.flatMap(\.sequences), reduction: options.reduction)
        gradients.clear()
        let totals = batch.accumulate(
            model, microBatchTokens: options.microBatchTokens, into: gradients)
        rows.clear(gradients)
        frozen.clear(gradients)
        let norm = totals.loss.isFinite ? gradientNorm(gradients) : .nan
        guard totals.loss.isFinite, norm.isFinite else {
            throw try stopping(chosen, totals, in: folder, lastSaved: lastSaved, report: report)
        }
        // The schedule counts updates from 0; warm-up that began at rate 0 would waste the first one.
        let rate = schedule.rate(at: state.step + (schedule.warmUpSteps > 0 ? 1 : 0))
        state.optimizer.update(
            state.parameters, gradients: gradients, learningRate: Float(rate),
            gradientScale: clipScale(norm: norm, limit: options.clipNorm),
            rowLearningRateScale: rows.scales(options.controlLearningRateScale), frozen: frozen.names,
            onlyRows: rows.only)
        state.step += 1
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        return [
            ("step", Double(state.step)), ("loss", totals.loss), ("control_loss", totals.controlLoss),
            ("think_loss", totals.thinkLoss), ("short_loss", totals.shortLoss), ("grad_norm", norm), ("lr", rate),
            ("response_tokens", Double(totals.tokenCount)), ("tokens", Double(batch.tokenCount)),
            ("tokens_per_second", Double(batch.tokenCount) / seconds),
        ]
    }

    /// Names where the numbers that are not finite came from, and saves the state before them if it is a good one.
    private mutating func stopping(
        _ chosen: [TrainingPair], _ totals: SFTBatch.Totals, in folder: RunFolder, lastSaved: String?,
        report: (TrainingEvent) -> TrainingDisposition
    ) throws -> TrainingFailure {
        let search = NotFinite(model: model, parameters: state.parameters)
        let what: String
        if let sequence = totals.firstNotFinite {
            let pair = chosen[sequence / 2]
            let place = search.place(
                pair, reduction: options.reduction, microBatchTokens: options.microBatchTokens, scratch: gradients)
            what = "the loss of pair \(pair.id), \(TrainingPair.half(sequence)) half (\(place)),"
        } else {
            // One pair alone may be enough to show it; the sum of all may be what overflows.
            let culprit = chosen.first { pair in
                gradients.clear()
                _ = SFTBatch(pair.sequences, reduction: options.reduction)
                    .accumulate(model, microBatchTokens: options.microBatchTokens, into: gradients)
                return NotFinite.tensor(in: gradients) != nil
            }
            let place = NotFinite.tensor(in: gradients)?.name ?? "all parameters together"
            what = "the gradient of \(place), by \(culprit.map { "pair \($0.id)" } ?? "all pairs of the update"),"
        }
        let failedStep = state.step + 1
        var lastGood = lastSaved
        let path = folder.checkpointPath(step: state.step)
        if state.step > 0, lastSaved != path, NotFinite.tensor(in: state.parameters) == nil {
            lastGood = try save(in: folder, lastGood: lastSaved, report: report)
        }
        return .notFinite(what: what, step: failedStep, lastGood: lastGood)
    }
}
