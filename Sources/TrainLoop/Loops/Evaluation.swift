import Transformer

/// Accuracy, tokens and choice of mode over problems, free and with the mode forced.
public struct Evaluation: Sendable {
    /// Who chose the mode of an answer.
    public enum Condition: String, Sendable, CaseIterable {
        /// The model.
        case auto
        /// `<think>` was put in.
        case think
        /// `<short>` was put in.
        case short

        var forced: Mode? { Mode(rawValue: rawValue) }
    }

    public struct Options: Sendable {
        public var conditions: [Condition] = [.auto]
        public var samplesPerProblem = 1
        public var temperature = 0.6
        public var topP = 0.95
        public var maximumNewTokens = 1024
        public var rule = AnswerRule.any
        public var seed: UInt64 = 0

        public init() {}
    }

    /// One sampled answer, graded.
    public struct Answer: Sendable {
        public var problem: Int
        public var condition: Condition
        public var sample: Int
        /// nil where the first token is no control token.
        public var mode: Mode?
        public var isCorrect: Bool
        public var isTruncated: Bool
        /// Generated tokens, the end token included.
        public var tokenCount: Int
        public var text: String
    }

    public let problems: [Problem]
    public let answers: [Answer]
    /// P(`<think>`) and P(`<short>`) as first token, by problem.
    public let firstToken: [(think: Double, short: Double)]

    /// Samples and grades.
    ///
    /// - Parameters:
    ///   - problems: all with an answer.
    ///   - reward: what judges the answers; nil: mathematical equivalence of what the answer rule finds.
    ///   - progress: gets the number of finished samples and of all.
    public init(
        _ problems: [Problem], encoder: PromptEncoder, parameters: ModelParameters, options: Options,
        reward: (any Reward)? = nil, progress: @escaping (Int, Int) -> Void = { _, _ in }
    ) throws {
        self.problems = problems
        let prompts = try problems.map { try encoder.prompt(for: $0.problem) }
        let generator = Generator(parameters)
        let reward = reward ?? ModeReward(rule: options.rule)
        var answers: [Answer] = []
        let total = problems.count * options.conditions.count * options.samplesPerProblem
        for condition in options.conditions {
            let forced = condition.forced.map { encoder.control[$0] }
            let requests = prompts.enumerated().map { index, prompt in
                GenerationRequest(
                    prompt: prompt, promptKey: index, sampleCount: options.samplesPerProblem,
                    forcedFirstToken: forced)
            }
            var done = answers.count
            let completions = generator.generate(
                requests,
                SamplingOptions(
                    temperature: Float(options.temperature), topP: Float(options.topP),
                    maximumNewTokens: options.maximumNewTokens, stopTokens: encoder.stopTokens, seed: options.seed),
                onToken: { _, _, token in
                    if encoder.stopTokens.contains(token) {
                        done += 1
                        progress(done, total)
                    }
                    return true
                })
            for (index, group) in completions.enumerated() {
                let queries = group.map { encoder.query(problems[index], response: $0.tokens) }
                let verdicts = try reward.score(queries)
                for (sample, completion) in group.enumerated() {
                    answers.append(
                        Answer(
                            problem: index, condition: condition, sample: sample, mode: queries[sample].form.mode,
                            isCorrect: verdicts[sample].outcome == .right,
                            isTruncated: queries[sample].form.isTruncated, tokenCount: completion.tokens.count,
                            text: encoder.text(of: completion.tokens)))
                }
            }
        }
        self.answers = answers
        firstToken = generator.firstTokenProbabilities(prompts, of: [encoder.control.think, encoder.control.short])
            .map { ($0[0], $0[1]) }
    }

    /// Means over answers.
    public struct Summary: Sendable {
        public var count: Int
        public var accuracy: Double
        public var meanTokens: Double
        public var thinkShare: Double
        public var shortShare: Double
        /// Mean P(`<think>`) over the problems.
        public var pThink: Double
    }

    /// The levels in the order in which the problems bring them.
    public var levels: [String] {
        var seen: Set<String> = []
        return problems.compactMap { problem in
            let level = problem.level ?? ""
            return seen.insert(level).inserted ? level : nil
        }
    }

    /// - Parameter level: nil means all.
    public func summary(_ condition: Condition, level: String? = nil) -> Summary {
        let chosen = answers.filter {
            $0.condition == condition && (level == nil || (problems[$0.problem].level ?? "") == level)
        }
        let members = problems.indices.filter { level == nil || (problems[$0].level ?? "") == level }
        func mean(_ value: (Answer) -> Double) -> Double {
            chosen.isEmpty ? .nan : chosen.reduce(0) { $0 + value($1) } / Double(chosen.count)
        }
        return Summary(
            count: chosen.count, accuracy: mean { $0.isCorrect ? 1 : 0 }, meanTokens: mean { Double($0.tokenCount) },
            thinkShare: mean { $0.mode == .think ? 1 : 0 }, shortShare: mean { $0.mode == .short ? 1 : 0 },
            pThink: members.reduce(0) { $0 + firstToken[$1].think } / Double(max(members.count, 1)))
    }
}
