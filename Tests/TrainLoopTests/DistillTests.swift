import Foundation
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
            think: TeacherAnswer(text: think, reasoning: reasoning, isTruncated: isTruncated && short == nil),
            short: short.map { .teacher(TeacherAnswer(text: $0, isTruncated: isTruncated)) } ?? .textAfterThinking)
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
        let answer = TeacherAnswer(text: "a</think>42")
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
        #expect(kept(pair(wrong, short: "42") { $0.keep = .correctShort }) != nil)
        #expect(kept(pair(right, short: "41") { $0.keep = .correctThink }) != nil)
        #expect(kept(pair("w</think>\\boxed{41+1}", short: "42") { $0.keep = .correct }) == nil)
        #expect(kept(pair("w</think>\\boxed{42.0}", short: "42") { $0.keep = .correct }) != nil)
        var assembly = PairAssembly()
        assembly.keep = .correct
        let unknown = Problem(id: "1", problem: "?")
        #expect(
            assembly.pair(unknown, think: TeacherAnswer(text: right), short: .textAfterThinking) == .dropped(.noTruth))
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
        let now = Date(timeIntervalSince1970: 784_111_777)
        #expect(RetryPolicy.seconds(retryAfter: " 120 ", now: now) == 120)
        #expect(RetryPolicy.seconds(retryAfter: "Sun, 06 Nov 1994 08:50:37 GMT", now: now) == 60)
        #expect(RetryPolicy.seconds(retryAfter: "Sun, 06 Nov 1994 08:40:37 GMT", now: now) == 0)
        for text in ["soon", "-1", "nan", ""] { #expect(RetryPolicy.seconds(retryAfter: text, now: now) == nil) }
        #expect([408, 429, 500, 503].allSatisfy(RetryPolicy.isTransient))
        #expect(![400, 401, 404, 422].contains(where: RetryPolicy.isTransient))
    }
}

@Suite struct RecordedTeacherTests {
    private func answer(_ row: String, _ mode: Mode = .think) async throws -> TeacherAnswer? {
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
                == TeacherAnswer(text: "a", reasoning: "w", isTruncated: true))
        #expect(
            try await answer(#"{"problem":"Q?","deepseek_reasoning":"w","deepseek_solution":"a"}"#)
                == TeacherAnswer(text: "a", reasoning: "w"))
        #expect(
            try await answer(
                #"{"messages":[{"role":"user","content":"Q?"},{"role":"assistant","content":"a","reasoning":"w"}]}"#)
                == TeacherAnswer(text: "a", reasoning: "w"))
        #expect(
            try await answer(
                #"{"conversations":[{"from":"human","value":"Q?"},{"from":"gpt","value":"<|begin_of_thought|>\nw\n<|end_of_thought|>\n\n<|begin_of_solution|>\na\n<|end_of_solution|>"}]}"#
            ) == TeacherAnswer(text: "a", reasoning: "w"))
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
