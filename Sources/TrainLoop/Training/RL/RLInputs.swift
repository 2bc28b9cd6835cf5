import CheckpointIO

/// What a reinforcement learning run reads beside the checkpoint that it starts from.
public struct RLInputs: Sendable {
    public var problems: [Problem]
    /// Names the data, so that a resumed run can tell that it is the same.
    public var dataDigest: String
    /// Problems for the mode probe; nil: the set that the checkpoint carries, or one chosen from `problems`.
    public var probe: [Problem]?
    /// Problems to evaluate on while training, and the digest of their file; kept out of training.
    public var evaluation: (problems: [Problem], digest: String)?
    /// The reference policy of the KL term; nil: the start of the run.
    public var reference: CheckpointFile?

    public init(problems: [Problem], dataDigest: String) {
        self.problems = problems
        self.dataDigest = dataDigest
    }
}

/// What reading the data came to.
public struct RLDataSummary: Sendable {
    public var problems = 0
    public var droppedOverlong = 0
    public var heldOutForProbe = 0
    public var heldOutForEvaluation = 0
}

/// Problems with their prompts, in the order in which a run meets them.
struct RLTrainingData: Sendable {
    let problems: [(problem: Problem, prompt: [Int])]
    let summary: RLDataSummary
    private var order: DataOrder

    /// - Parameter heldOut: texts that the probe and the evaluation ask about.
    /// - Throws: `TrainingFailure.emptyData`, and errors of the encoder.
    init(
        _ inputs: RLInputs, probeTexts: Set<String>, encoder: PromptEncoder, options: RLOptions
    ) throws {
        let evaluated = Set(inputs.evaluation?.problems.map(\.problem) ?? [])
        var summary = RLDataSummary()
        var problems: [(problem: Problem, prompt: [Int])] = []
        for problem in inputs.problems {
            if probeTexts.contains(problem.problem) {
                summary.heldOutForProbe += 1
                continue
            }
            if evaluated.contains(problem.problem) {
                summary.heldOutForEvaluation += 1
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
                inputs.problems.isEmpty
                    ? "the data holds no problems"
                    : "no problem is left to train on: \(summary.droppedOverlong) of \(inputs.problems.count) are longer "
                        + "than \(options.maximumPromptTokens) tokens (--max-prompt-tokens), "
                        + "\(summary.heldOutForProbe + summary.heldOutForEvaluation) are kept for probe and evaluation")
        }
        summary.problems = problems.count
        self.problems = problems
        self.summary = summary
        order = DataOrder(count: problems.count, seed: options.seed)
    }

    /// The next `count` problems from `position` on, counted over all epochs.
    mutating func take(from position: Int, count: Int) -> [(problem: Problem, prompt: [Int])] {
        order.indices(from: position, count: count).map { problems[$0] }
    }
}
