import Transformer

/// Why an evaluation gave no result.
public enum EvaluationFailure: Error, Equatable, CustomStringConvertible {
    case instructionNotSpelled(String)
    /// Somebody asked to stop.
    case interrupted(done: Int, total: Int)

    public var description: String {
        switch self {
        case .instructionNotSpelled(let text):
            "the tokenizer cannot spell the instruction \"\(text)\"; give --prompt plain, or one that the model was trained on"
        case .interrupted(let done, let total): "stopped after \(done) of \(total) answers"
        }
    }
}

/// What runs beside an evaluation.
public struct EvaluationHooks {
    /// Gets the number of finished answers and of all.
    public var progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    /// Gets new answers, some at a time.
    public var keep: ([Evaluation.Answer], PromptFacts) throws -> Void = { _, _ in }
    /// Asked before every token.
    public var shouldStop: () -> Bool = { false }

    /// What is known of each problem before it is answered.
    public struct PromptFacts: Sendable {
        public var tokenCounts: [Int]
        public var firstToken: [(think: Double, short: Double)]

        public init(tokenCounts: [Int], firstToken: [(think: Double, short: Double)]) {
            self.tokenCounts = tokenCounts
            self.firstToken = firstToken
        }
    }

    public init() {}
}

extension Evaluation {
    /// Answers that are sampled side by side. A block is always sampled whole, so that its answers are the same
    /// whether the evaluation was interrupted or not: sums of floating point depend in their last bits on how many
    /// rows a product has.
    static let blockAnswers = 64

    /// Samples and grades.
    ///
    /// - Parameters:
    ///   - problems: all with an answer.
    ///   - model: with its weights held as the options say.
    ///   - reward: what judges the answers, by the options' rule alone; nil: mathematical equivalence of what each rule
    ///     finds.
    ///   - kept: answers of an earlier, interrupted evaluation with the same options; they are not asked for again.
    /// - Throws: `EvaluationFailure`; errors of the prompt, of the reward and of the hooks.
    public init(
        _ problems: [Problem], encoder: PromptEncoder, model: Model, options: Options,
        reward: (any Reward)? = nil, kept: [Answer] = [], hooks: EvaluationHooks = EvaluationHooks()
    ) throws {
        let instruction = options.prompt.text.replacing("{problem}", with: "")
        let spelled = encoder.tokenizer.decode(encoder.tokenizer.encode(instruction, parsingAddedTokens: false))
        guard spelled == instruction else { throw EvaluationFailure.instructionNotSpelled(instruction.trimmed) }
        let prompts = try problems.map { try encoder.prompt(for: options.prompt.message(for: $0.problem)) }
        let generator = Generator(model)
        let firstToken = generator.firstTokenProbabilities(prompts, of: [encoder.control.think, encoder.control.short])
            .map { (think: $0[0], short: $0[1]) }
        var run = EvaluationRun(
            problems: problems, prompts: prompts, encoder: encoder, generator: generator, options: options,
            reward: reward, hooks: hooks,
            facts: .init(tokenCounts: prompts.map(\.count), firstToken: firstToken), kept: kept)
        self.init(
            problems: problems, options: options, promptTokenCounts: run.facts.tokenCounts, firstToken: firstToken,
            answers: try run.answers())
    }
}

/// An evaluation under way.
private struct EvaluationRun {
    /// What an answer is to: a problem in a mode that is put in, or a free choice.
    struct Question: Hashable {
        var problem: Int
        var forced: Mode?
    }

    let problems: [Problem]
    let prompts: [[Int]]
    let encoder: PromptEncoder
    let generator: Generator
    let options: Evaluation.Options
    let reward: (any Reward)?
    let hooks: EvaluationHooks
    let facts: EvaluationHooks.PromptFacts
    /// By question and sample.
    private var known: [Question: [Int: Evaluation.Answer]] = [:]
    private var done = 0
    private var total = 0

    init(
        problems: [Problem], prompts: [[Int]], encoder: PromptEncoder, generator: Generator,
        options: Evaluation.Options, reward: (any Reward)?, hooks: EvaluationHooks,
        facts: EvaluationHooks.PromptFacts, kept: [Evaluation.Answer]
    ) {
        self.problems = problems
        self.prompts = prompts
        self.encoder = encoder
        self.generator = generator
        self.options = options
        self.reward = reward
        self.hooks = hooks
        self.facts = facts
        for answer in kept where answer.sample < options.samplesPerProblem {
            known[Question(problem: answer.problem, forced: answer.forced), default: [:]][answer.sample] = answer
        }
    }

    mutating func answers() throws -> [Evaluation.Answer] {
        let blocks = self.blocks
        let questions = blocks.flatMap { $0 }
        total = questions.count * options.samplesPerProblem
        done = questions.reduce(0) { $0 + (known[$1]?.count ?? 0) }
        hooks.progress(done, total)
        for block in blocks where !block.allSatisfy({ known[$0]?.count == options.samplesPerProblem }) {
            try answer(block)
        }
        return questions.flatMap { question in
            (0..<options.samplesPerProblem).compactMap { known[question]?[$0] }
        }
    }

    /// The questions that the conditions ask, each once, cut into blocks that depend on the options and the places of
    /// the problems alone.
    private var blocks: [[Question]] {
        var asked: Set<Question> = []
        var blocks: [[Question]] = []
        let size = max(1, Evaluation.blockAnswers / options.samplesPerProblem)
        for condition in options.conditions {
            for start in stride(from: 0, to: problems.count, by: size) {
                let block = (start..<min(start + size, problems.count)).map { problem in
                    let pThink = facts.firstToken[problem].think
                    return Question(problem: problem, forced: Evaluation.forcedMode(condition, pThink: pThink))
                }.filter { asked.insert($0).inserted }
                if !block.isEmpty { blocks.append(block) }
            }
        }
        return blocks
    }

    private mutating func answer(_ block: [Question]) throws {
        let requests = block.map { question in
            GenerationRequest(
                prompt: prompts[question.problem], promptKey: question.problem,
                sampleCount: options.samplesPerProblem,
                forcedFirstToken: question.forced.map { encoder.control[$0] })
        }
        let missing = block.reduce(0) { $0 + options.samplesPerProblem - (known[$1]?.count ?? 0) }
        let before = done
        var finished = 0
        var isStopped = false
        let completions = generator.generate(
            requests, sampling,
            onToken: { [hooks, encoder, total] _, _, token in
                if encoder.stopTokens.contains(token) {
                    finished += 1
                    hooks.progress(before + min(finished, missing), total)
                }
                if !isStopped { isStopped = hooks.shouldStop() }
                return !isStopped
            })
        guard !isStopped else { throw EvaluationFailure.interrupted(done: before, total: total) }
        var new: [Evaluation.Answer] = []
        for (question, group) in zip(block, completions) {
            // What was kept is not asked for again, even where its block is.
            let samples = group.indices.filter { known[question]?[$0] == nil }
            new += try grade(question, samples.map { ($0, group[$0]) })
        }
        try hooks.keep(new, facts)
        for answer in new {
            known[Question(problem: answer.problem, forced: answer.forced), default: [:]][answer.sample] = answer
        }
        done = before + new.count
        hooks.progress(done, total)
    }

    private var sampling: SamplingOptions {
        SamplingOptions(
            temperature: Float(options.temperature), topP: Float(options.topP),
            maximumNewTokens: options.maximumNewTokens, stopTokens: encoder.stopTokens,
            thinkingBudget: options.thinkingBudget.map {
                ThinkingBudget(
                    startToken: encoder.control.think, endToken: encoder.control.thinkEnd, maximumTokens: $0,
                    inserted: [encoder.control.thinkEnd])
            },
            seed: options.seed)
    }

    private func grade(
        _ question: Question, _ samples: [(sample: Int, completion: Completion)]
    ) throws -> [Evaluation.Answer] {
        let queries = samples.map {
            encoder.query(problems[question.problem], response: $0.completion.tokens)
        }
        var answers = zip(samples, queries).map { item, query in
            Evaluation.Answer(
                problem: question.problem, forced: question.forced, sample: item.sample, mode: query.form.mode,
                outcomes: [:], found: [:], isTruncated: query.form.isTruncated,
                isThinkingCut: item.completion.inserted != nil, tokenCount: item.completion.tokens.count,
                text: query.responseText)
        }
        for rule in reward == nil ? AnswerRule.allCases : [options.rule] {
            let verdicts = try (reward ?? ModeReward(rule: rule)).score(queries)
            for (index, verdict) in verdicts.enumerated() {
                answers[index].outcomes[rule] = verdict.outcome
                answers[index].found[rule] = verdict.answer
            }
        }
        return answers
    }
}
