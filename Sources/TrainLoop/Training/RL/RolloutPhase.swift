import Foundation
import Transformer

/// Samples and scores the groups of a step.
struct RolloutPhase {
    let encoder: PromptEncoder
    let options: RLOptions
    let reward: any Reward
    let generator: Generator
    /// Counts each finished sample.
    let progress: (Int, Int) -> Void

    /// A group for each problem.
    ///
    /// - Parameters:
    ///   - keys: name the prompts' random numbers.
    ///   - clock: gets `rollout` and `reward`.
    func groups(
        _ problems: [(problem: Problem, prompt: [Int])], keys: Range<Int>, step: Int, clock: inout PhaseClock
    ) throws -> [RolloutGroup] {
        let prompts = problems.map(\.prompt)
        let requests = zip(prompts, keys).map { prompt, key in
            GenerationRequest(
                prompt: prompt, promptKey: key, sampleCount: options.samplesPerPrompt, forcedFirstTokens: forcedTokens)
        }
        let (completions, firstTokens) = generate(requests, step: step)
        clock.mark("rollout")

        let queries = zip(problems, completions).map { problem, samples in
            samples.map { encoder.query(problem.problem, response: $0.tokens) }
        }
        // One batch for the whole step: a reward program is asked once.
        var verdicts = try reward.score(queries.flatMap { $0 })[...]
        let groups = problems.indices.map { index in
            let samples = completions[index]
            let own = Array(verdicts.prefix(samples.count))
            verdicts = verdicts.dropFirst(samples.count)
            let advantages = Advantages.ofGroup(own.map(\.reward), scale: options.advantageScale)
            return RolloutGroup(
                problem: problems[index].problem, firstToken: firstTokens[index],
                rollouts: samples.indices.map { sample in
                    Rollout(
                        sample: sample,
                        sequence: TrainingSequence(prompt: prompts[index], response: samples[sample].tokens),
                        logProbabilities: samples[sample].logProbabilities, form: queries[index][sample].form,
                        verdict: own[sample], advantage: advantages[sample], isForced: sample < 2 * options.balance)
                })
        }
        clock.mark("reward")
        return groups
    }

    /// The first token of each sample of a group, where it is forced: `balance` of each mode, then free ones.
    private var forcedTokens: [Int?]? {
        guard options.balance > 0 else { return nil }
        return (0..<options.samplesPerPrompt).map { sample in
            sample < options.balance
                ? encoder.control.think : sample < 2 * options.balance ? encoder.control.short : nil
        }
    }

    /// The samples of each request, and P(`<think>`) and P(`<short>`) as their first token.
    private func generate(
        _ requests: [GenerationRequest], step: Int
    ) -> (completions: [[Completion]], firstTokens: [(think: Double, short: Double)]) {
        let sampling = SamplingOptions(
            temperature: Float(options.temperature), maximumNewTokens: options.maximumNewTokens,
            stopTokens: encoder.stopTokens, seed: options.seed, step: step)
        let total = requests.count * options.samplesPerPrompt
        var done = 0
        var shortLengths = [Int](repeating: 0, count: total)
        var firstTokens = [(think: Double, short: Double)](repeating: (0, 0), count: requests.count)
        let completions = generator.generate(
            requests, sampling,
            onToken: { request, sample, token in
                if sampling.stopTokens.contains(token) {
                    done += 1
                    progress(done, total)
                    return true
                }
                guard let limit = options.maximumShortTokens else { return true }
                let place = request * options.samplesPerPrompt + sample
                // A response's first token decides whether it is counted at all; -1: it is not.
                if shortLengths[place] == 0, token != encoder.control.short { shortLengths[place] = -1 }
                guard shortLengths[place] >= 0 else { return true }
                shortLengths[place] += 1
                return shortLengths[place] < limit
            },
            onPrompt: { request, logits in
                let both = Generator.probabilities(of: [encoder.control.think, encoder.control.short], logits)
                firstTokens[request] = (both[0], both[1])
            })
        return (completions, firstTokens)
    }
}
