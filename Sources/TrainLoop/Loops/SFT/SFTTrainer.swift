import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// The SFT warm-up: paired long and short answers, both halves of a pair in the same update.
///
/// Loss on the control token, the response and the end token; the prompt is masked. The method's released code also
/// trains the assistant header, which is left out on purpose: at inference the header is given.
public struct SFTTrainer {
    /// What reading the data came to.
    public struct DataSummary: Sendable {
        public var pairs: Int
        /// Left out since one of their halves is missing.
        public var incomplete: Int
        public var droppedOverlong: Int
        public var clippedOverlong: Int
        public var heldOutForProbe: Int
    }

    public private(set) var state: TrainingState
    public let encoder: PromptEncoder
    public let options: SFTOptions
    public let totalSteps: Int
    public let summary: DataSummary

    /// Each element holds both halves of one pair: think, then short.
    private let pairs: [[TrainingSequence]]
    private var order: DataOrder
    private let about: [(String, JSON)]
    private let schedule: LearningRateSchedule

    private let model: Model
    private let frozen: FrozenParameters
    /// Of the update under way; kept so that its memory is.
    private let gradients: ModelParameters

    static let command = "train-sft"

    /// - Parameters:
    ///   - file: where to start; with `resuming`, the state to go on from.
    ///   - probe: problems for the mode probe; nil: the set that the checkpoint carries, or one chosen from `pairs`;
    ///     kept out of training in any case.
    ///   - dataDigest: names the data, so that a resumed run can tell that it is the same.
    /// - Throws: `TrainingFailure.emptyData`, and errors of `PromptEncoder` and `TrainingState`.
    public init(
        _ file: CheckpointFile, pairs data: [Pair], probe: [Problem]?, dataDigest: String, options: SFTOptions,
        resuming: Bool = false
    ) throws {
        try options.check()
        encoder = try PromptEncoder(file)
        self.options = options
        let makeOptimizer: (ModelConfiguration) -> AdamW = { configuration in
            AdamW(
                configuration, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon,
                weightDecay: options.weightDecay)
        }

        // A resumed run must leave out the prompts that it left out before, which its own table names.
        let carried = probe == nil ? file.metadata.probes.last : nil
        let probeTable =
            carried.map { ProbeTable(prompts: $0.prompts, levels: $0.levels) }
            ?? ModeProbe.emptyTable(
                probe
                    ?? ModeProbe.choose(
                        data.map(Problem.init(asking:)), count: min(options.probeCount, data.count / 10),
                        seed: options.seed))
        let probeTexts = Set(probeTable.prompts)
        let training = data.filter { !probeTexts.contains($0.problem) }
        var summary = DataSummary(
            pairs: 0, incomplete: 0, droppedOverlong: 0, clippedOverlong: 0,
            heldOutForProbe: data.count - training.count)
        var sequences: [[TrainingSequence]] = []
        for pair in training {
            guard let think = pair.think, let short = pair.short else {
                summary.incomplete += 1
                continue
            }
            let prompt = try encoder.prompt(for: pair.problem)
            var halves = [
                TrainingSequence(prompt: prompt, response: encoder.response(think)),
                TrainingSequence(prompt: prompt, response: encoder.response(short: short)),
            ]
            if halves.contains(where: { $0.count > options.maximumLength }) {
                guard options.overlong == .clip, prompt.count < options.maximumLength else {
                    summary.droppedOverlong += 1
                    continue
                }
                summary.clippedOverlong += 1
                for index in halves.indices {
                    halves[index].response = Array(halves[index].response.prefix(options.maximumLength - prompt.count))
                }
            }
            sequences.append(halves)
        }
        guard !sequences.isEmpty else {
            throw TrainingFailure.emptyData(
                data.isEmpty
                    ? "the data holds no pairs"
                    : "no pair is left to train on: \(summary.incomplete) miss a half, \(summary.droppedOverlong) of \(data.count) are longer than "
                        + "\(options.maximumLength) tokens (--max-length), \(summary.heldOutForProbe) are kept for the probe"
            )
        }
        summary.pairs = sequences.count
        self.summary = summary
        self.pairs = sequences
        order = DataOrder(count: sequences.count, seed: options.seed)
        let total =
            options.steps
            ?? max(1, Int((options.epochs * Double(sequences.count) / Double(options.pairsPerStep)).rounded(.up)))
        totalSteps = total
        schedule = LearningRateSchedule(
            shape: options.schedule, peak: options.learningRate, warmUpSteps: options.resolvedWarmup(total),
            totalSteps: total, floorRatio: options.finalLearningRateShare)
        about = [("options", options.json(totalSteps: total)), ("data_sha256", .string(dataDigest))]

        if resuming {
            let (resumed, stored) = try TrainingState.resuming(file, command: Self.command, optimizer: makeOptimizer)
            guard stored["data_sha256"]?.string == dataDigest else { throw TrainingFailure.dataChanged("--data") }
            state = resumed
        } else {
            state = try TrainingState(starting: file, optimizer: makeOptimizer)
            state.metadata.lineage.append(
                LineageEntry(
                    operation: Self.command, arguments: options.json(totalSteps: total), parent: file.digest,
                    tool: Tool.name, report: ["pairs": .integer(sequences.count), "data_sha256": .string(dataDigest)]
                ).text)
            state.metadata.history["sft"] = MetricHistory()
            if !probeTable.prompts.isEmpty { state.metadata.probes.append(probeTable) }
        }
        model = Model(state.parameters)
        frozen = try FrozenParameters(options.freeze, in: state.parameters.configuration)
        gradients = ModelParameters(state.parameters.configuration)
    }

    /// Runs to the last step, or until `report` answers `.stop`.
    ///
    /// - Returns: the path of the last state saved.
    public mutating func run(
        in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> String {
        let log = try RunLog(folder, after: state.step)
        var lastSaved: String?
        if state.step == 0 { try probe(report) }
        while state.step < totalSteps {
            let metrics = try update(lastGood: lastSaved, report: report)
            try log.append(step: state.step, metrics)
            state.metadata.history["sft", default: MetricHistory()].append(metrics)
            let stops = report(.step(state.step, of: totalSteps, metrics: metrics)) == .stop
            let isDue = options.saveEvery.map { state.step % $0 == 0 } ?? false
            if stops || isDue || state.step == totalSteps {
                try probe(report)
                lastSaved = try save(in: folder, report: report)
                if stops { break }
            }
        }
        return lastSaved ?? folder.checkpointPath(step: state.step)
    }

    private mutating func save(in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition) throws -> String {
        if let record = state.metadata.tokenizer {
            let rows: Set<Int> = [encoder.control.think, encoder.control.thinkEnd, encoder.control.short]
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
        guard let last = state.metadata.probes.indices.last else { return }
        try ModeProbe.record(
            &state.metadata.probes[last], step: state.step, encoder: encoder, parameters: state.parameters)
        _ = report(.probe(step: state.step, byLevel: state.metadata.probes[last].latestByLevel))
    }

    /// One update. The gradient is that of the whole batch, however it is cut into micro-batches.
    private mutating func update(
        lastGood: String?, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [(name: String, value: Double)] {
        let start = ContinuousClock.now
        let chosen = order.indices(from: state.step * options.pairsPerStep, count: options.pairsPerStep)
        let batch = SFTBatch(chosen.flatMap { pairs[$0] }, reduction: options.reduction)
        gradients.clear()
        let totals = batch.accumulate(
            model, microBatchTokens: options.microBatchTokens, into: gradients)
        guard totals.loss.isFinite else {
            throw TrainingFailure.notFinite(what: "the loss", step: state.step + 1, lastGood: lastGood)
        }
        frozen.clear(gradients)
        let norm = gradientNorm(gradients)
        guard norm.isFinite else {
            throw TrainingFailure.notFinite(what: "the gradient", step: state.step + 1, lastGood: lastGood)
        }
        // The schedule counts updates from 0; warm-up that began at rate 0 would waste the first one.
        let rate = schedule.rate(at: state.step + (schedule.warmUpSteps > 0 ? 1 : 0))
        state.optimizer.update(
            state.parameters, gradients: gradients, learningRate: Float(rate),
            gradientScale: clipScale(norm: norm, limit: options.clipNorm),
            rowLearningRateScale: controlRowScales(), frozen: frozen.names)
        state.step += 1
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))
        return [
            ("step", Double(state.step)), ("loss", totals.loss), ("control_loss", totals.controlLoss),
            ("think_loss", totals.thinkLoss), ("short_loss", totals.shortLoss), ("grad_norm", norm), ("lr", rate),
            ("response_tokens", Double(totals.tokenCount)), ("tokens", Double(batch.tokenCount)),
            ("tokens_per_second", Double(batch.tokenCount) / seconds),
        ]
    }

    private func controlRowScales() -> [RowScale] {
        guard options.controlLearningRateScale != 1 else { return [] }
        let rows = [encoder.control.think, encoder.control.thinkEnd, encoder.control.short]
        // A tied head is the embedding, which must be scaled once.
        let tied = state.parameters.configuration.tiesWordEmbeddings
        let matrices = ["model.embed_tokens.weight"] + (tied ? [] : ["lm_head.weight"])
        return matrices.flatMap { name in
            rows.map { RowScale(name: name, row: $0, factor: Float(options.controlLearningRateScale)) }
        }
    }
}

extension Problem {
    /// The question of a pair, without its answers.
    init(asking pair: Pair) {
        self.init(id: pair.id, problem: pair.problem, answer: pair.answer, level: pair.level)
    }
}
