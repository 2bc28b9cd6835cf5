import Parallel

extension Evaluation {
    /// Samples and grades answers to problems with a ground truth, by a model behind a server.
    ///
    /// Every answer goes to the hooks as soon as it arrives. The answers in `kept` are not asked for again.
    ///
    /// - Throws: `EvaluationError.interrupted`, `ServerError`, `ServedModelError`, and errors of the hooks.
    package init(
        _ problems: [Problem], served: ServedModel, options: Options, kept: KeptAnswers = KeptAnswers(),
        hooks: EvaluationHooks = EvaluationHooks()
    ) throws {
        var run = ServerEvaluationRun(problems: problems, served: served, options: options, hooks: hooks)
        run.store(kept.answers.filter { $0.sample < options.samplesPerProblem })
        let answers = try run.answers()
        self.init(
            problems: problems, options: options, promptTokenCounts: run.facts.tokenCounts,
            firstToken: run.facts.firstToken, answers: answers)
    }
}

/// The state of a running evaluation of a served model.
private struct ServerEvaluationRun {
    /// One answer to be sampled.
    struct Question: Hashable, Sendable {
        var problem: Int
        var forced: Mode?
        var sample: Int
    }

    let problems: [Problem]
    let served: ServedModel
    let options: Evaluation.Options
    let hooks: EvaluationHooks
    var facts = EvaluationHooks.PromptFacts(tokenCounts: [], firstToken: [])
    private var known: [Question: Evaluation.Answer] = [:]

    init(problems: [Problem], served: ServedModel, options: Evaluation.Options, hooks: EvaluationHooks) {
        self.problems = problems
        self.served = served
        self.options = options
        self.hooks = hooks
    }

    mutating func store(_ answers: [Evaluation.Answer]) {
        for answer in answers {
            known[Question(problem: answer.problem, forced: answer.forced, sample: answer.sample)] = answer
        }
    }

    /// Asks what is not known yet, and returns all answers in the order of conditions, problems and samples.
    mutating func answers() throws -> [Evaluation.Answer] {
        var total = problems.count * options.conditions.count * options.samplesPerProblem
        var done = 0
        do {
            let starts = try self.starts()
            facts = .init(tokenCounts: starts.map(\.tokenCount), firstToken: starts.map(\.firstToken))
            let questions = try self.questions()
            total = questions.count
            done = questions.count { known[$0] != nil }
            hooks.progress(done, total)
            let open = questions.filter { known[$0] == nil }
            let (problems, served, options) = (problems, served, options)
            let hidesControlTokens = starts.contains(where: \.hidesControlTokens)
            try ConcurrentRequests.forEach(
                open, atOnce: served.concurrency, isStopping: hooks.shouldStop,
                ask: { question in
                    try await served.response(
                        to: problems[question.problem], forced: question.forced, options,
                        seed: Self.seed(of: question, options), after: starts[question.problem],
                        hidesControlTokens: hidesControlTokens)
                },
                receive: { index, response in
                    let answer = try grade(open[index], response)
                    try hooks.keep([answer], facts)
                    known[open[index]] = answer
                    done += 1
                    hooks.progress(done, total)
                })
            return questions.compactMap { known[$0] }
        } catch is CancellationError { throw EvaluationError.interrupted(done: done, total: total) }
    }

    private func starts() throws -> [ServedModel.Start] {
        var starts = [ServedModel.Start?](repeating: nil, count: problems.count)
        let (served, options) = (served, options)
        try ConcurrentRequests.forEach(
            problems, atOnce: served.concurrency, isStopping: hooks.shouldStop,
            ask: { try await served.start($0, options) }, receive: { starts[$0] = $1 })
        return starts.compactMap { $0 }
    }

    /// The different questions of all conditions.
    private func questions() throws -> [Question] {
        var asked: Set<Question> = []
        return try options.conditions.flatMap { condition in
            try problems.indices.flatMap { problem in
                let pThink = facts.firstToken[problem].think
                if case .threshold = condition, pThink.isNaN { throw ServedModelError.noProbabilities }
                let forced = Evaluation.forcedMode(condition, pThink: pThink)
                return (0..<options.samplesPerProblem).map { Question(problem: problem, forced: forced, sample: $0) }
            }.filter { asked.insert($0).inserted }
        }
    }

    /// The seed of an answer, which differs from that of every other answer.
    private static func seed(of question: Question, _ options: Evaluation.Options) -> UInt64 {
        let mode: UInt64 = question.forced == nil ? 0 : question.forced == .think ? 1 : 2
        var random = SplitMix64(
            seed: options.seed, keys: UInt64(question.problem), UInt64(question.sample), mode)
        return random.next()
    }

    private func grade(_ question: Question, _ response: ServedModel.Response) throws -> Evaluation.Answer {
        let (form, answerText) = ResponseForm.ofText(response.text, isTruncated: response.isTruncated)
        let query = RewardQuery(
            problem: problems[question.problem], form: form, answerText: answerText, responseText: response.text)
        var answer = Evaluation.Answer(
            problem: question.problem, forced: question.forced, sample: question.sample, mode: form.mode,
            outcomes: [:], found: [:], isTruncated: form.isTruncated, isThinkingCut: false,
            tokenCount: response.tokenCount, text: response.text)
        for rule in AnswerRule.allCases {
            guard let verdict = try ModeReward(rule: rule).score([query]).first else { continue }
            answer.outcomes[rule] = verdict.outcome
            answer.found[rule] = verdict.answer
        }
        return answer
    }
}
