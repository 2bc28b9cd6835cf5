import CheckpointIO

/// The input of a reinforcement learning run besides the checkpoint that it starts from.
package struct RLInputs: Sendable {
    /// The problems to train on; each has an answer, unless a program judges.
    package var problems: [Problem]
    /// The digest of the file of `problems`, by which a resumed run recognises it.
    package var dataDigest: String
    /// The problems of the mode probe; nil: those that the checkpoint carries, or some chosen from `problems`.
    package var probe: [Problem]?
    /// Problems to evaluate on during training, and the digest of their file; kept out of training.
    package var evaluation: (problems: [Problem], digest: String)?
    /// The reference policy of the KL term; nil: the start of the run.
    package var reference: CheckpointFile?
    /// Whether a new run may start with lengths beyond the model's positions.
    package var allowsLong = false
    /// The servers that sample; nil: the responses are sampled here.
    package var servers: RolloutServers?

    package init(problems: [Problem], dataDigest: String) {
        self.problems = problems
        self.dataDigest = dataDigest
    }
}

/// Counts of the problems that were read for a run.
package struct RLDataSummary: Sendable {
    package fileprivate(set) var problems = 0
    package fileprivate(set) var droppedOverlong = 0
    package fileprivate(set) var heldOutForProbe = 0
    package fileprivate(set) var heldOutForEvaluation = 0
}

/// A problem with its prompt as ids.
struct EncodedProblem: Sendable {
    let problem: Problem
    let prompt: [Int]
}

/// The problems in the order in which a run takes them.
struct ProblemStream: Sendable {
    let problems: [EncodedProblem]
    let summary: RLDataSummary
    let levelNames: LevelNames
    /// The problems taken so far, counted over all epochs.
    var position = 0
    private var order: DataOrder

    /// The number of tokens of the longest prompt.
    var longestPrompt: Int { problems.reduce(0) { max($0, $1.prompt.count) } }

    /// - Throws: `TrainingFailure.emptyData`, and errors of the encoder.
    init(_ inputs: RLInputs, probe: [Problem], encoder: PromptEncoder, options: RLOptions) throws {
        let probed = Set(probe.map(\.promptText))
        let evaluated = Set(inputs.evaluation?.problems.map(\.promptText) ?? [])
        let maximum = options.rollout.maximumPromptTokens
        var summary = RLDataSummary()
        var problems: [EncodedProblem] = []
        for problem in inputs.problems {
            if probed.contains(problem.promptText) {
                summary.heldOutForProbe += 1
                continue
            }
            if evaluated.contains(problem.promptText) {
                summary.heldOutForEvaluation += 1
                continue
            }
            if let prompt = try encoder.reader.promptIfShortEnough(for: problem), prompt.count <= maximum {
                problems.append(EncodedProblem(problem: problem, prompt: prompt))
            } else {
                summary.droppedOverlong += 1
            }
        }
        guard !problems.isEmpty else {
            throw TrainingFailure.emptyData(
                inputs.problems.isEmpty
                    ? "the data holds no problems"
                    : "no problem is left to train on: \(summary.droppedOverlong) of \(inputs.problems.count) are "
                        + "longer than \(maximum) tokens (--max-prompt-tokens), "
                        + "\(summary.heldOutForProbe + summary.heldOutForEvaluation) are kept for probe and evaluation")
        }
        summary.problems = problems.count
        self.problems = problems
        self.summary = summary
        levelNames = LevelNames(Set(problems.map { $0.problem.level ?? "" }))
        order = DataOrder(count: problems.count, seed: options.run.seed)
    }

    /// Takes the next problems.
    ///
    /// `firstKey` is the position of the first, from which the random numbers of each problem are derived.
    mutating func take(_ count: Int) -> (problems: [EncodedProblem], firstKey: Int) {
        defer { position += count }
        return (order.indices(from: position, count: count).map { problems[$0] }, position)
    }
}
