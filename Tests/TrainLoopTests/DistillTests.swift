import Foundation
import HTTP
import OrderedJSON
import TestSupport
import Testing
import TrainLoop

@Suite struct PairAssemblyTests {
    private let problem = Problem(id: "7", problem: "6*7?", answer: "42", level: "L1")

    /// Assembles a pair; `isTruncated` applies to the short answer, or to the long one if there is no short answer.
    private func pair(
        _ think: String, reasoning: String? = nil, short: String? = nil, isTruncated: Bool = false,
        _ change: (inout PairAssembly) -> Void = { _ in }
    ) -> PairOutcome {
        var assembly = PairAssembly()
        change(&assembly)
        return assembly.pair(
            problem,
            think: ModelAnswer(text: think, reasoning: reasoning, isTruncated: isTruncated && short == nil),
            short: short.map { .teacher(ModelAnswer(text: $0, isTruncated: isTruncated)) } ?? .textAfterThinking)
    }

    private func kept(_ outcome: PairOutcome) -> [String]? {
        guard case .kept(let pair, _) = outcome else { return nil }
        return [pair.think?.working ?? "", pair.think?.answer ?? "", pair.short ?? ""]
    }

    @Test func bothResponsesGetTheSameAnswerForm() {
        #expect(
            kept(pair("<think>\nw\n</think>\n\n\\boxed{42}", short: "6*7 is 42."))
                == ["w\n", "\n\n\\boxed{42}", "6*7 is 42.\n\n\\boxed{42}"])
        // The template opened the thinking, or the server split it off.
        #expect(kept(pair("w</think>42", short: "42")) == ["w", "42\n\n\\boxed{42}", "42\n\n\\boxed{42}"])
        #expect(
            kept(pair("It is 42.", reasoning: "\nw", short: "#### 42")) == [
                "w", "It is 42.\n\n\\boxed{42}", "#### 42\n\n\\boxed{42}",
            ])
        #expect(
            kept(pair("w</think>\nIt is \\boxed{42}", short: "So 6*7 = 42") { $0.form = .bare }) == ["w", "42", "42"])
        #expect(kept(pair("w</think> 42 \n", short: "\n\n 42\n") { $0.form = .asIs }) == ["w", " 42", " 42"])
        // A reasoning model with thinking turned off.
        #expect(kept(pair("w</think>42", short: "<think>\n\n</think>\n\n\\boxed{42}"))?[2] == "\\boxed{42}")
    }

    @Test func withoutASecondTeacher() {
        #expect(kept(pair("<think>w</think>\n\n\\boxed{42}")) == ["w", "\n\n\\boxed{42}", "\\boxed{42}"])
        #expect(pair("<think>w</think>\n\n") == .dropped(.thinkWithoutResult) || kept(pair("<think>w</think>")) != nil)
        #expect(pair("<think>no number</think>") == .dropped(.thinkWithoutResult))
    }

    @Test func unfitAnswersAreDropped() {
        #expect(pair("6*7=42", short: "42") == .dropped(.noThinkEnd))
        #expect(
            kept(pair("6*7=42", short: "42") { $0.untagged = .working }) == [
                "6*7=42", "\n\\boxed{42}", "42\n\n\\boxed{42}",
            ])
        #expect(pair("<think>6*7=42", short: "42") { $0.untagged = .working } == .dropped(.noThinkEnd))
        #expect(pair("<think> \n</think>42", short: "42") == .dropped(.noWorking))
        #expect(pair("a</think>b</think>42", short: "42") == .dropped(.strayTag))
        #expect(pair("a<short></think>42", short: "42") == .dropped(.strayTag))
        #expect(pair("a</think>42", short: "a</think>42") == .dropped(.strayTag))
        #expect(pair("a</think>42", short: " \n") == .dropped(.emptyShort))
        #expect(pair("a</think>42", short: "none") == .dropped(.shortWithoutResult))
        let answer = ModelAnswer(text: "a</think>42")
        #expect(PairAssembly().pair(problem, think: answer, short: .missing) == .dropped(.noShortAnswer))
        #expect(PairAssembly().pair(problem, think: nil, short: .textAfterThinking) == .dropped(.noThinkAnswer))
    }

    @Test func truncatedAnswers() {
        #expect(pair("<think>on and", isTruncated: true) == .dropped(.truncatedThink))
        #expect(pair("<think>on and", isTruncated: true) { $0.truncated = .clip } == .dropped(.truncatedThink))
        #expect(kept(pair("<think>w</think>42 and", isTruncated: true) { $0.truncated = .clip })?[0] == "w")
        #expect(pair("w</think>42", short: "It is 42", isTruncated: true) == .dropped(.truncatedShort))
        let clipped = pair("w</think>42", short: "It is 42", isTruncated: true) { $0.truncated = .clip }
        guard case .kept(_, clipped: true) = clipped else { return #expect(Bool(false), "\(clipped)") }
    }

    @Test func keepingRightAnswers() {
        let (right, wrong) = ("w</think>42", "w</think>41")
        #expect(pair(wrong, short: "42") { $0.keep = .correct } == .dropped(.wrongThink))
        #expect(pair(right, short: "41") { $0.keep = .correct } == .dropped(.wrongShort))
        // No box is written around a result that is known to be wrong.
        #expect(pair(wrong, short: "42") { $0.keep = .correctShort } == .dropped(.differingThink))
        #expect(kept(pair("w</think>\\boxed{41}", short: "42") { $0.keep = .correctShort }) != nil)
        #expect(kept(pair(right, short: "\\boxed{41}") { $0.keep = .correctThink }) != nil)
        #expect(kept(pair("w</think>\\boxed{41+1}", short: "42") { $0.keep = .correct }) == nil)
        #expect(kept(pair("w</think>\\boxed{42.0}", short: "42") { $0.keep = .correct }) != nil)
        var assembly = PairAssembly()
        assembly.keep = .correct
        let unknown = Problem(id: "1", problem: "?")
        #expect(
            assembly.pair(unknown, think: ModelAnswer(text: right), short: .textAfterThinking) == .dropped(.noTruth))
    }
}

/// Boxes that are written into answers without one.
@Suite struct WrittenBoxTests {
    private func outcome(
        _ text: String, truth: String?, isTruncated: Bool = false, form: PairAssembly.AnswerForm = .boxed
    ) -> PairOutcome {
        var assembly = PairAssembly()
        assembly.form = form
        assembly.truncated = .clip
        return assembly.pair(
            Problem(id: "1", problem: "p", answer: truth),
            think: ModelAnswer(text: "w</think>\\boxed{\(truth ?? "0")}"),
            short: .teacher(ModelAnswer(text: text, isTruncated: isTruncated)))
    }

    private func box(_ outcome: PairOutcome) -> String? {
        guard case .kept(let pair, _) = outcome else { return nil }
        return AnswerExtraction.answer(in: pair.short ?? "", rule: .boxed)
    }

    @Test func moneyIsEscaped() {
        #expect(box(outcome("She pays $9{,}500.", truth: "9500")) == #"\$9{,}500"#)
        #expect(box(outcome("She pays $9{,}500.", truth: nil)) == #"\$9{,}500"#)
    }

    /// Each text states its truth: the box equals it, or there is no pair.
    @Test(arguments: [
        ("So the probability is $\\frac{1}{2}$.", "1/2"), ("The answer is **73**.", "73"),
        ("It takes $2\\frac{1}{2}$ hours.", "2.5"), ("The temperature is now −3 °C.", "-3"),
        ("She pays $9{,}500.", "9500"), ("**Answer:** $2\\sqrt{3}$", "2\\sqrt{3}"), ("Answer: B", "B"),
        ("She has 12 eggs left in 3 boxes.", "12"), ("The point is $(3, 4)$.", "(3,4)"),
        ("Thus $f(x)=x^2+1$.", "x^2+1"), ("The area is $\\pi$.", "\\pi"), ("The answer is 3, because 1+2=3.", "3"),
        ("We get 1/3 of 12, so four.", "4"), ("x = 5 or x = -5", "5, -5"), ("The total is 1 234.", "1234"),
        ("It is 3/4, i.e. 75 %.", "3/4"), ("$1.5 \\times 10^3$", "1500"), ("`42`", "42"),
    ])
    func areRightOrNotWritten(text: String, truth: String) {
        for known in [truth, nil] {
            for form in [PairAssembly.AnswerForm.boxed, .bare] {
                let outcome = outcome(text, truth: known, form: form)
                switch outcome {
                case .kept(let pair, _):
                    let result = AnswerExtraction.answer(
                        in: pair.short ?? "", rule: form == .boxed ? AnswerRule.boxed : .bare)
                    #expect(result.map { MathGrader.areEquivalent($0, truth) } == true, "\(text): \(pair)")
                case .dropped(let reason):
                    #expect([.uncertainShort, .differingShort, .shortWithoutResult].contains(reason), "\(text)")
                }
            }
        }
    }

    @Test func reasons() {
        #expect(box(outcome("6*7 is 42.", truth: "42")) == "42")
        #expect(outcome("6*7 is 41.", truth: "42") == .dropped(.differingShort))
        #expect(outcome("12 eggs in 3 boxes, 4 each, 48 in 12.", truth: "7") == .dropped(.uncertainShort))
        #expect(outcome("no result", truth: "42") == .dropped(.shortWithoutResult))
        // A cut number is certain only if it is the known one.
        #expect(box(outcome("The answer is 42", truth: "42", isTruncated: true)) == "42")
        #expect(outcome("The answer is 42", truth: nil, isTruncated: true) == .dropped(.uncertainShort))
        // A brace without a partner would end the box elsewhere.
        #expect(box(outcome("{ The answer is 42", truth: nil)).map { $0 == "42" } ?? true)
    }
}

@Suite struct LocalTeacherLimitTests {
    @Test func limitsFollowThePositions() {
        #expect(LocalTeacher.defaultLimit(.think, positions: 8192) == 2048)
        #expect(LocalTeacher.defaultLimit(.short, positions: 8192) == 512)
        #expect(LocalTeacher.defaultLimit(.think, positions: 1024) == 512)
        #expect(LocalTeacher.defaultLimit(.short, positions: 1024) == 256)
        #expect(LocalTeacher.defaultLimit(.short, positions: 1) == 1)
    }

    @Test func tokensLeftAreJudgedByFinishedAnswers() {
        var progress = TeacherProgress(limit: 100)
        progress.tokens = 40
        #expect(progress.tokensLeft(to: 10) == 960)
        (progress.answers, progress.answerTokens, progress.tokens) = (2, 30, 45)
        #expect(progress.tokensLeft(to: 10) == 105)
        #expect(progress.tokensLeft(to: 2) == 0)
    }
}

@Suite struct RetryPolicyTests {
    @Test func delaysDoubleUpToALimitAndFollowTheServer() {
        var policy = RetryPolicy()
        policy.firstDelay = 0.5
        #expect(
            (0..<9).map { policy.delay(attempt: $0, retryAfter: nil, random: 0) } == [0.5, 1, 2, 4, 8, 16, 32, 60, 60])
        #expect(policy.delay(attempt: 2, retryAfter: nil, random: 1) == 1)
        #expect(policy.delay(attempt: 0, retryAfter: 30, random: 0.5) == 30)
        #expect(policy.delay(attempt: 5, retryAfter: 3, random: 0) == 16)
        #expect(policy.delay(attempt: 0, retryAfter: 1e9, random: 0) == 900)
        #expect(policy.delay(attempt: 10_000, retryAfter: nil, random: 0) == 60)
    }

    @Test func retryAfterIsSecondsOrADate() {
        let now = 784_111_777
        #expect(RetryPolicy.seconds(retryAfter: " 120 ", now: now) == 120)
        #expect(RetryPolicy.seconds(retryAfter: "Sun, 06 Nov 1994 08:50:37 GMT", now: now) == 60)
        #expect(RetryPolicy.seconds(retryAfter: "Sunday, 06-Nov-94 08:50:37 GMT", now: now) == 60)
        #expect(RetryPolicy.seconds(retryAfter: "Sun Nov  6 08:50:37 1994", now: now) == 60)
        #expect(RetryPolicy.seconds(retryAfter: "Sun, 06 Nov 1994 08:40:37 GMT", now: now) == 0)
        #expect(RetryPolicy.seconds(retryAfter: "0.5", now: now) == 0.5)
        for text in ["soon", "-1", "nan", ""] { #expect(RetryPolicy.seconds(retryAfter: text, now: now) == nil) }
        #expect([408, 429, 500, 503].allSatisfy(RetryPolicy.isTransient))
        #expect(![400, 401, 404, 422].contains(where: RetryPolicy.isTransient))
    }
}

@Suite struct RecordedTeacherTests {
    private func answer(_ row: String, _ mode: Mode = .think) async throws -> ModelAnswer? {
        let folder = try TemporaryFolder()
        let teacher = try RecordedTeacher(path: try folder.write(row, to: "r.jsonl"), mode: mode)
        let reply = try await teacher.answer(Problem(id: "1", problem: " Q? "), at: 0)
        if case .answer(let answer) = reply { return answer }
        return nil
    }

    @Test func allRowFormats() async throws {
        #expect(try await answer(#"{"problem":"Q?","response":"<think>w</think>a"}"#)?.text == "<think>w</think>a")
        #expect(
            try await answer(#"{"prompt":"Q?","completion":"a","reasoning_content":"w","finish_reason":"length"}"#)
                == ModelAnswer(text: "a", reasoning: "w", isTruncated: true))
        #expect(
            try await answer(#"{"problem":"Q?","deepseek_reasoning":"w","deepseek_solution":"a"}"#)
                == ModelAnswer(text: "a", reasoning: "w"))
        #expect(
            try await answer(
                #"{"messages":[{"role":"user","content":"Q?"},{"role":"assistant","content":"a","reasoning":"w"}]}"#)
                == ModelAnswer(text: "a", reasoning: "w"))
        #expect(
            try await answer(
                #"{"conversations":[{"from":"human","value":"Q?"},{"from":"gpt","value":"<|begin_of_thought|>\nw\n<|end_of_thought|>\n\n<|begin_of_solution|>\na\n<|end_of_solution|>"}]}"#
            ) == ModelAnswer(text: "a", reasoning: "w"))
        #expect(
            try await answer(
                #"{"problem":"Q?","generations":["a","b","c"],"is_reasoning_complete":[true,false,true],"correctness_math_verify":[false,true,true]}"#
            )?
            .text == "c")
        #expect(
            try await answer(#"{"problem":"Q?","generations":["a"],"is_reasoning_complete":[false]}"#)?.isTruncated
                == true)
        #expect(try await answer(#"{"problem":"Q?","think":"w</think>a","short":"a"}"#, .short)?.text == "a")
        #expect(try await answer(#"{"problem":"other","response":"a"}"#) == nil)
    }

    @Test(arguments: [
        #"{"problem":"Q?"}"#, #"{"problem":"Q?","generations":[]}"#, #"{"problem":"Q?","generations":[3]}"#,
        #"{"problem":"Q?","conversations":[{"from":"user","value":"Q?"}]}"#, #"{"response":"a"}"#,
    ])
    func rowsWithoutAnAnswerAreErrors(row: String) async throws {
        await #expect(throws: DataFileError.self) { _ = try await answer(row) }
    }
}
