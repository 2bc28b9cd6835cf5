import CheckpointIO
import Foundation
import OrderedJSON
import Ranks
import Transformer

// One step of DeGRPO (Thinkless, arXiv 2505.13379, section 3.2), from top to bottom. `run` is the whole step; the
// functions after it are its parts in order, but for the update (RLStep+Update.swift):
//
//     sample      G responses to each of a step's prompts x from the current policy π, at temperature T. The first
//                 token of a response is its control token a_0, which chooses the mode: <think> or <short>.
//     score       The reward r_i: 1 for a right short answer, 1−γ for a right answer after thinking, −1 for an answer
//                 that is wrong, truncated or malformed.
//     advantages  A_i = r_i − mean(r) over the group. A group whose rewards are all equal has no gradient; with
//                 --refill fresh prompts take the place of such groups.
//     update      For each of the step's mini-batches of N responses, one AdamW update that maximises
//
//                     J = 1/N Σ_i ( α L_i0 + 1/T_i Σ_{t≥1} L_it ) − β KL + c H                 (equation 4)
//                     L_it = min(ρ_it A_i, clip(ρ_it, 1−ε_low, 1+ε_high) A_i)                  (equation 2)
//
//                 T_i is the number of tokens after a_0, ρ_it the ratio of new to old probability of a token. α
//                 decouples the choice of mode from the length of the response: in GRPO (equation 1) the control token
//                 has the weight 1/(T_i+1), which is small, and smaller after <think> than after <short>. `PolicyLoss`
//                 lists the other losses, which differ only in these weights.
//     record      The metrics of the step, for logs and history.
//
// Departures from the paper and the authors' code (VainF/Thinkless); docs/training.md has the full list:
//
// - The authors' code takes token means over micro-batches, so their division changes the result. Here every divisor is
//   that of the whole mini-batch. `--loss degrpo-released` is their loss in this form.
// - The mode is the id of the first token, not a tag found in the text.
// - The first update of a step trains the policy that sampled, so its ratio is 1 and is not computed. Only later
//   updates need old log-probabilities.
// - With --rollout-server the samples come from servers, and what follows uses our own log-probabilities of them. The
//   loss of a token is multiplied by its probability here over that on the server, with a bound (RLStep+Servers.swift).
// - --balance k forces k responses of a group into each mode. A control token c is then drawn from the mixture
//   q(c) = (k + (G−2k) π_old(c)) / G, and its ratio π/q is capped instead of clipped.

/// One step of reinforcement learning: sample → score → advantages → update → record.
struct RLStep {
    /// The number of the step, counted from 1.
    let number: Int
    let options: RLOptions
    let encoder: PromptEncoder
    /// nil on other ranks than 0, which judges.
    let reward: (any Reward)?
    let model: Model
    let reference: ReferencePolicy?
    let trained: TrainedParameters
    let learningRate: Double
    let gradients: GradientBuffers
    let slices: UpdateSlices
    let levelNames: LevelNames
    /// The servers that sample; nil: the responses are sampled here.
    let sampler: ServerSampler?
    /// The step's responses, if servers sampled them during the step before.
    var ahead: SamplesAhead?
    /// The run that the step belongs to: its folder, its newest state, its ranks, and the receiver of events.
    let training: TrainingRun

    /// Makes the step.
    ///
    /// - Parameters:
    ///   - state: its weights, moments and step change.
    ///   - problems: the step takes its prompts from here.
    ///   - automaticAlpha: the α that `--alpha auto` computed; nil before the first step.
    /// - Returns: the metrics of the step.
    /// - Throws: `TrainingFailure`, and errors of writing the rollout log.
    func run(
        _ state: inout TrainingState, _ problems: inout ProblemStream, _ automaticAlpha: inout Double?
    ) throws -> MetricRow {
        var clock = PhaseClock()
        let (all, kept) = try collectGroups(from: &problems, &clock)
        let served = try compareServers(all, after: state)
        try writeRolloutLog(all)
        let alpha = controlWeight(for: kept, &automaticAlpha)
        clock.mark("reward")

        let summary = try update(&state, with: kept, alpha, &clock)
        if number == 1 {
            try FirstStepCheck(options: options, referenceIsStart: reference?.isStart ?? false)
                .check(summary, training.report)
        }
        state.step = number
        return record(all, kept, alpha, summary, state, clock, served)
    }

    /// Samples the step's groups, and fresh ones in place of groups without spread, up to `--refill`.
    ///
    /// - Returns: every group that was sampled, and the groups of the loss.
    private func collectGroups(
        from problems: inout ProblemStream, _ clock: inout PhaseClock
    ) throws -> (all: [RolloutGroup], kept: [RolloutGroup]) {
        let generator = options.rollout.makeGenerator(model)
        var all: [RolloutGroup] = []
        // The indices in `all` of the groups that the loss is computed on.
        var kept = Array(0..<options.rollout.promptsPerStep)
        var wanted = kept.count
        var refillsLeft = options.guards.refill
        while true {
            let (taken, firstKey) = problems.take(wanted)
            let sampled = try sample(taken, firstKey, generator, phase: all.isEmpty ? "rollout" : "refill")
            clock.mark("rollout")
            all += withAdvantages(try score(sampled))
            clock.mark("reward")

            let flat = kept.indices.filter { !all[kept[$0]].hasSpread }
            wanted = min(flat.count, refillsLeft)
            guard wanted > 0 else { break }
            for (offset, index) in flat.prefix(wanted).enumerated() {
                all[kept[index]].isKept = false
                kept[index] = all.count + offset
            }
            refillsLeft -= wanted
        }
        return (all, kept.map { all[$0] })
    }

    // MARK: - Sample

    /// The responses sampled for one prompt.
    struct SampledGroup {
        let problem: EncodedProblem
        let responses: [Completion]
        /// What the server that sampled says of each response; empty if they were sampled here.
        var scores: [ServerScores] = []
        /// P(`<think>`) and P(`<short>`) as first token.
        let firstToken: (think: Double, short: Double)
    }

    /// Samples responses to the problems, which the ranks share out.
    private func sample(
        _ problems: [EncodedProblem], _ firstKey: Int, _ generator: Generator, phase: String
    ) throws -> [SampledGroup] {
        let (requests, sampling) = (requests(for: problems, from: firstKey), sampling)
        if let sampler {
            return try sample(problems, requests, sampling, on: sampler, generator, phase: phase)
        }
        let sampled = try training.ranks.share(problems.count) { own -> [Sampled] in
            self.responses(to: own.map { requests[$0] }, sampling, generator, phase: phase)
        }
        return zip(problems, sampled).map {
            SampledGroup(problem: $0, responses: $1.completions, firstToken: ($1.pThink, $1.pShort))
        }
    }

    /// The responses to a prompt as ranks exchange them.
    private struct Sampled: Codable {
        var completions: [Completion]
        var pThink: Double
        var pShort: Double
    }

    private func responses(
        to requests: [GenerationRequest], _ sampling: SamplingOptions, _ generator: Generator, phase: String
    ) -> [Sampled] {
        let groupSize = options.rollout.samplesPerPrompt
        let total = requests.count * groupSize
        var finished = 0
        var shortAnswers = ShortAnswerLimit(
            limit: options.rollout.maximumShortTokens, shortToken: encoder.control.short, responses: total)
        var firstTokens = [[Double]](repeating: [0, 0], count: requests.count)
        let completions = generator.generate(
            requests, sampling,
            onToken: { request, sample, token in
                guard sampling.stopTokens.contains(token) else {
                    return shortAnswers.continues(request * groupSize + sample, with: token)
                }
                finished += 1
                training.report(.progress(phase: phase, done: finished, total: total))
                return true
            },
            onPrompt: { request, logits in
                firstTokens[request] = Generator.probabilities(
                    of: [encoder.control.think, encoder.control.short], logits)
            })
        return zip(completions, firstTokens).map {
            Sampled(completions: $0, pThink: $1[0], pShort: $1[1])
        }
    }

    func requests(for problems: [EncodedProblem], from firstKey: Int) -> [GenerationRequest] {
        problems.enumerated().map { index, problem in
            GenerationRequest(
                prompt: problem.prompt, promptKey: firstKey + index, sampleCount: options.rollout.samplesPerPrompt,
                forcedFirstTokens: forcedFirstTokens)
        }
    }

    var sampling: SamplingOptions {
        SamplingOptions(
            temperature: Float(options.rollout.temperature), maximumNewTokens: options.rollout.maximumNewTokens,
            stopTokens: encoder.stopTokens, seed: options.run.seed, step: number)
    }

    /// The forced first token of each response of a group under `--balance`; nil for a free one.
    private var forcedFirstTokens: [Int?]? {
        let balance = options.guards.balance
        guard balance > 0 else { return nil }
        return (0..<options.rollout.samplesPerPrompt).map { sample in
            sample < balance ? encoder.control.think : sample < 2 * balance ? encoder.control.short : nil
        }
    }

    // MARK: - Score

    /// Rewards the responses of all groups as one batch, so that a reward program is asked once.
    private func score(_ groups: [SampledGroup]) throws -> [(SampledGroup, [RewardQuery], [Verdict])] {
        let queries = groups.map { group in
            group.responses.map { encoder.query(group.problem.problem, response: $0.tokens) }
        }
        do {
            // A program that judges runs on rank 0 alone.
            var verdicts = try training.ranks.fromRoot { try reward?.score(queries.flatMap { $0 }) ?? [] }[...]
            return zip(groups, queries).map { group, queries in
                defer { verdicts = verdicts.dropFirst(queries.count) }
                return (group, queries, Array(verdicts.prefix(queries.count)))
            }
        } catch let error as RewardError {
            let start = training.folder.checkpointPath(step: number - 1)
            throw TrainingFailure.reward(error, step: number, lastGood: training.lastSaved ?? start)
        }
    }

    // MARK: - Advantages

    private func withAdvantages(_ groups: [(SampledGroup, [RewardQuery], [Verdict])]) -> [RolloutGroup] {
        groups.map { group, queries, verdicts in
            let advantages = Advantages.ofGroup(verdicts.map(\.reward), scale: options.loss.advantageScale)
            let rollouts = group.responses.enumerated().map { sample, response in
                Rollout(
                    sample: sample,
                    sequence: TrainingSequence(prompt: group.problem.prompt, response: response.tokens),
                    logProbabilities: response.logProbabilities, form: queries[sample].form, verdict: verdicts[sample],
                    advantage: advantages[sample], isForced: sample < 2 * options.guards.balance,
                    server: group.scores.isEmpty ? nil : group.scores[sample])
            }
            return RolloutGroup(
                problem: group.problem.problem, firstToken: group.firstToken, rollouts: rollouts)
        }
    }

    private func writeRolloutLog(_ groups: [RolloutGroup]) throws {
        guard training.ranks.isRoot else { return }
        let rows = groups.flatMap {
            $0.rows(
                step: number, encoder: encoder, reward: options.reward, isDetailed: options.run.logsProbabilities)
        }
        try AtomicFile.write(
            rows.map { $0.serialized() + "\n" }.joined(), to: training.folder.rolloutLogPath(step: number),
            overwrite: true)
    }

    // MARK: - Record

    private func record(
        _ all: [RolloutGroup], _ kept: [RolloutGroup], _ alpha: PolicyLoss.ControlWeight, _ summary: UpdateSummary,
        _ state: TrainingState, _ clock: PhaseClock, _ served: SamplerMetrics?
    ) -> MetricRow {
        let rollouts = RolloutMetrics(groups: all, levelNames: levelNames)
        var row: MetricRow = ["step": Double(number)]
        row.append(rollouts.row)
        row.append(summary.metrics)
        if let served { row.append(served.row) }
        row.append(["lr": learningRate, "alpha": mean(alpha, over: kept.flatMap(\.rollouts))])

        let guards = options.guards
        let alarm = CollapseAlarm(share: guards.alarmShare, steps: guards.alarmSteps)
            .judge(row, after: state.history(of: training.stage), probe: state.probedPreference?.think)
        row.append(alarm.metrics)
        if alarm.isNew {
            training.report(
                .warning(
                    "one mode has had less than \(guards.alarmShare * 100) % for \(guards.alarmSteps) "
                        + "\(guards.alarmSteps == 1 ? "step" : "steps"): the choice is collapsing; lower --alpha or "
                        + "--lr, raise --kl-coefficient, or keep both modes in use with --balance"))
        }
        // A group of one never has an advantage; the run has said so at its start.
        if options.rollout.samplesPerPrompt > 1,
            let warning = FlatRewards(promptsPerStep: options.rollout.promptsPerStep)
                .warning(kept, after: state.history(of: training.stage))
        {
            training.report(.warning(warning))
        }
        training.report(.preference(rollouts.preferenceByLevel))
        row.append(rollouts.sharesByLevel)
        row.append(clock.metrics)
        return row
    }

    /// The mean weight of the control token over the responses, on whose length it may depend.
    private func mean(_ alpha: PolicyLoss.ControlWeight, over rollouts: [Rollout]) -> Double {
        if case .constant(let value) = alpha { return value }
        return rollouts.reduce(0) { $0 + alpha.value(tokenCount: $1.tokenCount) } / Double(rollouts.count)
    }
}

/// Gradient buffers, reused across updates to avoid reallocation.
final class GradientBuffers {
    let all: ModelParameters
    /// The part of the gradient that flows through the control tokens; allocated when it is first used.
    lazy var control = ModelParameters(all.configuration, all.trained, all.precision)

    init(_ configuration: ModelConfiguration, _ trained: TrainedLayout, _ precision: WeightPrecision) {
        all = ModelParameters(configuration, trained, precision)
    }
}

/// Ends short answers that reach `--max-short-tokens`.
private struct ShortAnswerLimit {
    private let limit: Int?
    private let shortToken: Int
    /// The tokens of each short answer so far; nil for answers that do not start with the short token.
    private var lengths: [Int?]

    init(limit: Int?, shortToken: Int, responses: Int) {
        self.limit = limit
        self.shortToken = shortToken
        lengths = Array(repeating: 0, count: responses)
    }

    /// Whether a response goes on after this token, which is not a stop token.
    mutating func continues(_ response: Int, with token: Int) -> Bool {
        guard let limit, let length = lengths[response] else { return true }
        guard length > 0 || token == shortToken else {
            lengths[response] = nil
            return true
        }
        lengths[response] = length + 1
        return length + 1 < limit
    }
}
