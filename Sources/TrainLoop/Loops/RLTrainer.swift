import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// Reinforcement learning of the choice of mode (Thinkless, section 3.2): rollouts, rewards, advantages, update.
public struct RLTrainer {
    /// What reading the data came to.
    public struct DataSummary: Sendable {
        public var problems: Int
        public var droppedOverlong: Int
        public var heldOutForProbe: Int
    }

    public private(set) var state: TrainingState
    public let encoder: PromptEncoder
    public let options: RLOptions
    public let summary: DataSummary
    /// α as it is used; nil until `auto` has seen the first step's rollouts.
    public private(set) var alpha: Double?

    private let problems: [(problem: Problem, prompt: [Int])]
    private var order: DataOrder
    private let dataDigest: String
    private let schedule: LearningRateSchedule
    private let reward: any Reward

    private let model: Model
    private let frozen: FrozenParameters
    /// Of the update under way; kept so that its memory is.
    private let gradients: ModelParameters

    static let command = "train-rl"

    /// - Parameters:
    ///   - file: where to start; with `resuming`, the state to go on from.
    ///   - data: problems, every one with an answer.
    ///   - probe: problems for the mode probe; nil: the set that the checkpoint carries, or one chosen from `data`.
    /// - Throws: `TrainingFailure.emptyData`, and errors of `PromptEncoder` and `TrainingState`.
    public init(
        _ file: CheckpointFile, problems data: [Problem], probe: [Problem]?, dataDigest: String, options: RLOptions,
        resuming: Bool = false
    ) throws {
        encoder = try PromptEncoder(file.metadata)
        self.options = options
        self.dataDigest = dataDigest
        reward = ModeReward(values: options.rewards, rule: options.answerRule)
        let makeOptimizer: (ModelConfiguration) -> AdamW = { configuration in
            AdamW(
                configuration, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon,
                weightDecay: options.weightDecay)
        }

        let carried = probe == nil ? file.metadata.probes.last : nil
        let chosen = probe ?? ModeProbe.choose(data, count: min(64, data.count / 10), seed: options.seed)
        let probeTexts = Set(carried?.prompts ?? chosen.map(\.problem))
        var summary = DataSummary(problems: 0, droppedOverlong: 0, heldOutForProbe: 0)
        var problems: [(problem: Problem, prompt: [Int])] = []
        for problem in data {
            if probeTexts.contains(problem.problem) {
                summary.heldOutForProbe += 1
                continue
            }
            let prompt = try encoder.prompt(for: problem.problem)
            if prompt.count > options.maximumPromptTokens {
                summary.droppedOverlong += 1
            } else {
                problems.append((problem, prompt))
            }
        }
        guard !problems.isEmpty else {
            throw TrainingFailure.emptyData(
                data.isEmpty
                    ? "the data holds no problems"
                    : "no problem is left to train on: \(summary.droppedOverlong) of \(data.count) are longer than "
                        + "\(options.maximumPromptTokens) tokens (--max-prompt-tokens), "
                        + "\(summary.heldOutForProbe) are kept for the probe")
        }
        summary.problems = problems.count
        self.summary = summary
        self.problems = problems
        order = DataOrder(count: problems.count, seed: options.seed)
        schedule = LearningRateSchedule(
            shape: options.schedule, peak: options.learningRate, warmUpSteps: options.warmupSteps,
            totalSteps: options.steps, floorRatio: options.finalLearningRateShare)
        if case .fixed(let value) = options.alpha { alpha = value }

        if resuming {
            let (resumed, stored) = try TrainingState.resuming(file, command: Self.command, optimizer: makeOptimizer)
            guard stored["data_sha256"]?.string == dataDigest else { throw TrainingFailure.dataChanged("--data") }
            state = resumed
            alpha = stored["alpha_in_use"]?.double ?? alpha
        } else {
            state = try TrainingState(starting: file, optimizer: makeOptimizer)
            state.metadata.lineage.append(
                LineageEntry(
                    operation: Self.command, arguments: options.json, parent: file.digest,
                    tool: Tool.name, report: ["problems": .integer(problems.count), "data_sha256": .string(dataDigest)]
                ).text)
            state.metadata.history["rl"] = MetricHistory()
            // A stage counts its own steps, so it has a table of its own, over the same prompts where there are some.
            let table =
                carried.map { ProbeTable(prompts: $0.prompts, levels: $0.levels) } ?? ModeProbe.emptyTable(chosen)
            if !table.prompts.isEmpty { state.metadata.probes.append(table) }
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
        try FileManager.default.createDirectory(atPath: folder.rolloutsPath, withIntermediateDirectories: true)
        var lastSaved = folder.checkpointPath(step: state.step)
        if state.step == 0 {
            try probe(report)
            lastSaved = try save(in: folder, report: report)
        }
        while state.step < options.steps {
            let metrics = try update(folder: folder, lastGood: lastSaved, report: report)
            try log.append(step: state.step, metrics)
            state.metadata.history["rl", default: MetricHistory()].append(metrics)
            let stops = report(.step(state.step, of: options.steps, metrics: metrics)) == .stop
            let isLast = stops || state.step == options.steps
            if isLast || state.step % options.probeEvery == 0 { try probe(report) }
            if isLast || state.step % options.saveEvery == 0 { lastSaved = try save(in: folder, report: report) }
            if stops { break }
        }
        return lastSaved
    }

    private mutating func save(in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition) throws -> String {
        let path = folder.checkpointPath(step: state.step)
        let about: [(String, JSON)] = [
            ("options", options.json), ("data_sha256", .string(dataDigest)),
            ("alpha_in_use", alpha.map { .double($0) } ?? .null),
        ]
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
}

// MARK: - One step

extension RLTrainer {
    private mutating func update(
        folder: RunFolder, lastGood: String, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [(name: String, value: Double)] {
        let next = state.step + 1
        var clock = PhaseClock()
        let rollouts = try sample(step: next, report: report)
        clock.mark("rollout")
        try writeRollouts(rollouts, step: next, folder: folder)
        if case .auto(let factor) = options.alpha, alpha == nil {
            let mean = Double(rollouts.reduce(0) { $0 + $1.tokenCount }) / Double(rollouts.count)
            alpha = factor / mean
            _ = report(.note("alpha set to \(alpha ?? 0) = \(factor) / \(mean) mean response tokens, and kept"))
        }
        let batch = try policyBatch(rollouts)
        if next == 1 { reportControlWeight(batch, report) }
        clock.mark("reward")

        gradients.clear()
        let totals = accumulate(batch, rollouts, into: gradients, report: report)
        frozen.clear(gradients)
        let norm = gradientNorm(gradients)
        guard totals.loss.isFinite, norm.isFinite else {
            throw TrainingFailure.notFinite(
                what: totals.loss.isFinite ? "the gradient" : "the loss", step: next, lastGood: lastGood)
        }
        let rate = schedule.rate(at: state.step + (schedule.warmUpSteps > 0 ? 1 : 0))
        // No gradient, no decay: a batch without spread must leave every bit of the weights as it is.
        if norm > 0 || options.weightDecay > 0 {
            state.optimizer.update(
                state.parameters, gradients: gradients, learningRate: Float(rate),
                gradientScale: clipScale(norm: norm, limit: options.clipNorm), frozen: frozen.names)
        }
        state.step = next
        clock.mark("update")

        return [("step", Double(next))] + RolloutMetrics.rows(rollouts, groups: options.promptsPerStep) + [
            ("loss", totals.loss), ("control_loss", totals.controlLoss), ("response_loss", totals.responseLoss),
            ("pg_clipfrac", totals.clippedFraction), ("ppo_kl", totals.meanNegativeLogRatio), ("kl_loss", totals.kl),
            ("entropy", totals.meanEntropy), ("grad_norm", norm), ("lr", rate), ("alpha", alpha ?? .nan),
            ("control_weight_relative", batch.relativeControlWeight),
        ] + RolloutMetrics.shares(byLevel: rollouts) + clock.metrics
    }

    /// Samples a group for each of the step's prompts, scores it, and sets its advantages.
    private mutating func sample(
        step: Int, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [Rollout] {
        let position = (step - 1) * options.promptsPerStep
        let chosen = order.indices(from: position, count: options.promptsPerStep)
        let requests = chosen.enumerated().map { place, index in
            GenerationRequest(
                prompt: problems[index].prompt, promptKey: position + place, sampleCount: options.samplesPerPrompt)
        }
        let total = options.promptsPerStep * options.samplesPerPrompt
        let sampling = SamplingOptions(
            temperature: Float(options.temperature), maximumNewTokens: options.maximumNewTokens,
            stopTokens: encoder.stopTokens, seed: options.seed, step: step)
        var done = 0
        let completions = withoutActuallyEscaping(report) { report in
            Generator(model).generate(
                requests, sampling,
                onToken: { _, _, token in
                    if sampling.stopTokens.contains(token) {
                        done += 1
                        _ = report(.progress(phase: "rollout", done: done, total: total))
                    }
                    return true
                })
        }

        var rollouts: [Rollout] = []
        for (group, (index, samples)) in zip(chosen, completions).enumerated() {
            let (problem, prompt) = problems[index]
            let queries = samples.map { encoder.query(problem, response: $0.tokens) }
            let verdicts = try reward.score(queries)
            let advantages = Advantages.ofGroup(verdicts.map(\.reward), scale: options.advantageScale)
            for sample in samples.indices {
                rollouts.append(
                    Rollout(
                        group: group, sample: sample, problem: problem,
                        sequence: TrainingSequence(prompt: prompt, response: samples[sample].tokens),
                        logProbabilities: samples[sample].logProbabilities, form: queries[sample].form,
                        verdict: verdicts[sample], advantage: advantages[sample]))
            }
        }
        return rollouts
    }

    private func policyBatch(_ rollouts: [Rollout]) throws -> PolicyBatch {
        let loss = PolicyLoss(
            kind: options.loss, controlWeight: .constant(alpha ?? 0), epsilonLow: options.epsilonLow,
            epsilonHigh: options.epsilonHigh, entropyCoefficient: options.entropyCoefficient,
            maximumNewTokens: options.maximumNewTokens)
        // One update a batch: the sampling policy is the one being trained, so its ratio is 1 by construction.
        return try PolicyBatch(
            loss: loss,
            samples: rollouts.map { PolicyBatch.Sample(tokenCount: $0.tokenCount, advantage: $0.advantage) })
    }

    /// Adds the loss's gradient over the whole mini-batch; samples that contribute nothing are not run.
    private func accumulate(
        _ batch: PolicyBatch, _ rollouts: [Rollout], into gradients: ModelParameters,
        report: (TrainingEvent) -> TrainingDisposition
    ) -> PolicyTotals {
        let sequences = rollouts.map(\.sequence)
        let contributing = sequences.indices.filter(batch.contributes)
        var totals = PolicyTotals()
        var done = 0
        for indices in PackedSequences.microBatches(
            sequences, indices: contributing, tokenBudget: options.microBatchTokens)
        {
            let packed = PackedSequences(sequences, indices: indices)
            func term(_ place: Int, _ logProbability: Float, _ entropy: Float) -> PolicyTerm {
                let owner = packed.owners[place]
                return batch.term(
                    sample: owner.sequence, token: owner.token, logProbability: Double(logProbability),
                    entropy: Double(entropy))
            }
            let scores = model.accumulateGradients(
                packed.batch, packed.positions, temperature: Float(options.temperature), into: gradients
            ) { range, scores in
                var gradient = (logProbability: [Float](), entropy: [Float]())
                for (offset, place) in range.enumerated() {
                    let term = term(place, scores.logProbabilities[offset], scores.entropies[offset])
                    gradient.logProbability.append(Float(term.gradient))
                    if options.entropyCoefficient != 0 { gradient.entropy.append(Float(term.entropyGradient)) }
                }
                return gradient
            }
            for place in packed.positions.indices {
                totals.add(term(place, scores.logProbabilities[place], scores.entropies[place]))
            }
            done += indices.count
            _ = report(.progress(phase: "update", done: done, total: contributing.count))
        }
        return totals
    }

    private func reportControlWeight(_ batch: PolicyBatch, _ report: (TrainingEvent) -> TrainingDisposition) {
        guard options.loss == .degrpo || options.loss == .degrpoReleased else { return }
        let weight = batch.relativeControlWeight
        var text = "the control token weighs \(String(format: "%.3g", weight)) times what it would under plain GRPO"
        if weight < 1 {
            text += ": less, so the choice of mode learns more slowly; raise --alpha, or use --alpha auto=K"
        }
        _ = report(.note(text))
    }

    private func writeRollouts(_ rollouts: [Rollout], step: Int, folder: RunFolder) throws {
        let digits = String(step)
        let name = "/step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".jsonl"
        let rows = rollouts.map { $0.json(step: step, encoder: encoder).serialized() + "\n" }
        try Data(rows.joined().utf8).write(to: URL(fileURLWithPath: folder.rolloutsPath + name), options: .atomic)
    }
}

/// Seconds by phase of a step, as metrics.
struct PhaseClock {
    private let start = ContinuousClock.now
    private var last = ContinuousClock.now
    private var phases: [(name: String, value: Double)] = []

    mutating func mark(_ phase: String) {
        let now = ContinuousClock.now
        phases.append(("seconds_\(phase)", Double((now - last) / .seconds(1))))
        last = now
    }

    var metrics: [(name: String, value: Double)] {
        phases + [("seconds_step", Double((last - start) / .seconds(1)))]
    }
}
