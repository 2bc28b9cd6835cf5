import Ranks
import Transformer

/// Why an evaluation has no result.
package enum EvaluationError: Error, Equatable, CustomStringConvertible {
    case instructionNotEncodable(String)
    /// A stop was requested.
    case interrupted(done: Int, total: Int)

    package var description: String {
        switch self {
        case .instructionNotEncodable(let text):
            "the tokenizer cannot encode the instruction \"\(text)\"; give --prompt plain, or a prompt that the model "
                + "was trained on"
        case .interrupted(let done, let total): "stopped after \(done) of \(total) answers"
        }
    }
}

/// What is known from an interrupted evaluation with the same options.
package struct KeptAnswers: Sendable, Codable {
    package var answers: [Evaluation.Answer] = []
    /// P(`<think>`) and P(`<short>`) as first token, by problem.
    package var firstToken: [Int: [Double]] = [:]

    package init() {}
}

/// Callbacks of an evaluation.
package struct EvaluationHooks {
    /// Receives the number of finished answers and of all answers.
    package var progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    /// Receives new answers in blocks.
    package var keep: ([Evaluation.Answer], PromptFacts) throws -> Void = { _, _ in }
    /// Called before every token; true stops the evaluation.
    package var shouldStop: () -> Bool = { false }

    /// The prompt lengths, and P(`<think>`) and P(`<short>`) as first token, by problem; NaN for a prompt that has not
    /// been computed yet, which has no answer either.
    package struct PromptFacts: Sendable {
        package var tokenCounts: [Int]
        package var firstToken: [(think: Double, short: Double)]

        package init(tokenCounts: [Int], firstToken: [(think: Double, short: Double)]) {
            self.tokenCounts = tokenCounts
            self.firstToken = firstToken
        }
    }

    package init() {}

    /// The hooks of a rank that reports nothing.
    fileprivate var ofOtherRank: EvaluationHooks {
        var hooks = EvaluationHooks()
        hooks.shouldStop = shouldStop
        return hooks
    }
}

extension Evaluation {
    /// The number of answers sampled together, which are all answers to some problems.
    ///
    /// A block is always sampled as a whole, so that an interrupted evaluation gives the same answers: without AVX2 the
    /// last bits of sums depend on the number of rows of a product. Ranks share out blocks.
    static let blockAnswers = 64

    /// The ids of the prompts for problems.
    ///
    /// - Throws: `EvaluationError`, and errors of the prompt.
    package static func prompts(
        for problems: [Problem], encoder: PromptEncoder, options: Options
    ) throws -> [[Int]] {
        let instruction = options.prompt.text.replacing("{problem}", with: "")
        let decoded = encoder.tokenizer.decode(encoder.tokenizer.encode(instruction, parsingAddedTokens: false))
        guard decoded == instruction else { throw EvaluationError.instructionNotEncodable(instruction.trimmed) }
        return try encoder.reader.prompts(for: problems) { options.prompt.message(for: $0.problem) }
    }

    /// Samples and grades answers to problems with a ground truth, by a model in the precision of the options.
    ///
    /// `reward` grades by the rule of the options; without it, answers are graded by mathematical equivalence with all
    /// rules. What is in `kept` is not computed again. Ranks share the work, and have the same result; rank 0 calls the
    /// hooks and judges.
    ///
    /// - Throws: `EvaluationError`, `RankError`, and errors of the prompt, the reward and the hooks.
    package init(
        _ problems: [Problem], encoder: PromptEncoder, model: Model, options: Options,
        reward: (any Reward)? = nil, kept: KeptAnswers = KeptAnswers(), hooks: EvaluationHooks = EvaluationHooks(),
        ranks: RankGroup = .alone
    ) throws {
        let prompts = try Self.prompts(for: problems, encoder: encoder, options: options)
        var generator = Generator(model)
        generator.cachePrecision = options.cachePrecision
        generator.cacheByteLimit = options.cacheByteLimit
        var run = EvaluationRun(
            problems: problems, prompts: prompts, encoder: encoder, generator: generator, options: options,
            reward: reward, hooks: ranks.isRoot ? hooks : hooks.ofOtherRank, ranks: ranks,
            facts: .init(
                tokenCounts: prompts.map(\.count), firstToken: prompts.map { _ in (think: .nan, short: .nan) }))
        run.store(kept.answers.filter { $0.sample < options.samplesPerProblem })
        for (problem, probabilities) in kept.firstToken { run.store(probabilities, of: problem) }
        let answers = try run.answers()
        self.init(
            problems: problems, options: options, promptTokenCounts: run.facts.tokenCounts,
            firstToken: run.facts.firstToken, answers: answers)
    }
}

/// The state of a running evaluation.
private struct EvaluationRun {
    /// A problem with a forced mode or a free choice.
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
    let ranks: RankGroup
    var facts: EvaluationHooks.PromptFacts
    /// Answers by question and sample.
    var known: [Question: [Int: Evaluation.Answer]] = [:]
    var done = 0
    var total = 0

    mutating func store(_ answers: [Evaluation.Answer]) {
        for answer in answers {
            known[Question(problem: answer.problem, forced: answer.forced), default: [:]][answer.sample] = answer
        }
    }

    mutating func answers() throws -> [Evaluation.Answer] {
        let choosesByThreshold = options.conditions.contains { if case .threshold = $0 { true } else { false } }
        if choosesByThreshold { try computeFirstTokens() }
        let questions = problems.indices.map { self.questions(on: $0) }
        total = questions.reduce(0) { $0 + $1.count } * options.samplesPerProblem
        done = questions.joined().reduce(0) { $0 + (known[$1]?.count ?? 0) }
        hooks.progress(done, total)
        let missing = blocks(of: questions).filter {
            !$0.joined().allSatisfy { known[$0]?.count == options.samplesPerProblem }
        }
        for first in stride(from: 0, to: missing.count, by: ranks.count) {
            try answer(missing[first..<min(first + ranks.count, missing.count)])
        }
        try computeFirstTokens()
        return answersByCondition()
    }

    /// Computes the first tokens' probabilities of the prompts that have not been computed.
    private mutating func computeFirstTokens() throws {
        let missing = prompts.indices.filter { facts.firstToken[$0].think.isNaN }
        let found = try ranks.share(missing.count) { own in
            generator.firstTokenProbabilities(own.map { prompts[missing[$0]] }, of: choices)
        }
        for (problem, probabilities) in zip(missing, found) { store(probabilities, of: problem) }
    }

    mutating func store(_ probabilities: [Double], of problem: Int) {
        facts.firstToken[problem] = (think: probabilities[0], short: probabilities[1])
    }

    /// The control tokens that choose a mode, think first.
    private var choices: [Int] { [encoder.control.think, encoder.control.short] }

    /// The different questions of all conditions on one problem.
    private func questions(on problem: Int) -> [Question] {
        var asked: Set<Question> = []
        return options.conditions.map {
            Question(
                problem: problem, forced: Evaluation.forcedMode($0, pThink: facts.firstToken[problem].think))
        }.filter { asked.insert($0).inserted }
    }

    /// Questions by problem, in blocks that depend only on the options and the order of problems.
    private func blocks(of questions: [[Question]]) -> [[[Question]]] {
        let answersToProblem = (questions.map(\.count).max() ?? 1) * options.samplesPerProblem
        let size = max(1, Evaluation.blockAnswers / max(1, answersToProblem))
        return stride(from: 0, to: questions.count, by: size).map {
            Array(questions[$0..<min($0 + size, questions.count)])
        }
    }

    /// All answers, in the order of conditions, problems and samples.
    private func answersByCondition() -> [Evaluation.Answer] {
        var listed: Set<Question> = []
        return options.conditions.flatMap { condition in
            problems.indices.map {
                Question(problem: $0, forced: Evaluation.forcedMode(condition, pThink: facts.firstToken[$0].think))
            }.filter { listed.insert($0).inserted }
        }.flatMap { question in
            (0..<options.samplesPerProblem).compactMap { known[question]?[$0] }
        }
    }

    /// The answers to one block, or what there was of them when a stop was requested.
    private struct Sampled: Codable {
        /// By question.
        var completions: [[Completion]] = []
        /// Probabilities of the first token, by problem.
        var firstTokens: [[Double]] = []
        var isStopped = false
    }

    /// Answers one block on each rank.
    private mutating func answer(_ blocks: ArraySlice<[[Question]]>) throws {
        let own = blocks.startIndex + ranks.rank
        let sampled = try ranks.gather(own < blocks.endIndex ? sample(blocks[own]) : Sampled())
        guard !sampled.contains(where: \.isStopped) else {
            throw EvaluationError.interrupted(done: done, total: total)
        }
        for (block, sampled) in zip(blocks, sampled) {
            for (questions, probabilities) in zip(block, sampled.firstTokens) where !probabilities.isEmpty {
                store(probabilities, of: questions[0].problem)
            }
            // A program that judges runs on rank 0 alone.
            let new = try ranks.fromRoot {
                try zip(block.joined(), sampled.completions).flatMap { question, group in
                    // Known answers stay, even if their block is sampled again.
                    let samples = group.indices.filter { known[question]?[$0] == nil }
                    return try grade(question, samples.map { ($0, group[$0]) })
                }
            }
            try hooks.keep(new, facts)
            store(new)
            done += new.count
        }
        hooks.progress(done, total)
    }

    /// Samples the answers to a block; the prompt of a problem is computed once for all of its questions.
    private func sample(_ block: [[Question]]) -> Sampled {
        let count = options.samplesPerProblem
        let requests = block.map { questions in
            GenerationRequest(
                prompt: prompts[questions[0].problem], promptKey: questions[0].problem,
                sampleCount: questions.count * count,
                forcedFirstTokens: questions.flatMap { question in
                    [Int?](repeating: question.forced.map { encoder.control[$0] }, count: count)
                },
                sampleKeys: questions.flatMap { _ in Array(0..<count) })
        }
        let missing = block.joined().reduce(0) { $0 + count - (known[$1]?.count ?? 0) }
        let before = done
        var sampled = Sampled(firstTokens: block.map { _ in [] })
        var finished = 0
        let completions = generator.generate(
            requests, sampling,
            onToken: { [hooks, encoder, total] _, _, token in
                if encoder.stopTokens.contains(token) {
                    finished += 1
                    hooks.progress(before + min(finished, missing), total)
                }
                if !sampled.isStopped { sampled.isStopped = hooks.shouldStop() }
                return !sampled.isStopped
            },
            onPrompt: { [choices] request, logits in
                sampled.firstTokens[request] = Generator.probabilities(of: choices, logits)
            })
        guard !sampled.isStopped else { return sampled }
        sampled.completions = completions.flatMap { group in
            stride(from: 0, to: group.count, by: count).map { Array(group[$0..<$0 + count]) }
        }
        return sampled
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
