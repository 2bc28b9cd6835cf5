import Testing
import TrainLoop

private let control = ControlTokens(think: 1, thinkEnd: 2, short: 3)
private let end = 0

private func form(_ tokens: [Int]) -> ResponseForm { ResponseForm(tokens, control: control, stopTokens: [end]) }

@Suite struct ResponseFormTests {
    @Test func wellFormed() {
        let think = form([1, 10, 11, 2, 12, 13, end])
        #expect(think.mode == .think && think.defect == nil && !think.isTruncated)
        #expect(think.working == 1..<3 && think.answer == 4..<6)
        let short = form([3, 12, end])
        #expect(short.mode == .short && short.defect == nil && short.working.isEmpty && short.answer == 1..<2)
    }

    @Test(arguments: [
        ([10, 11, end], FormDefect.noControlToken, false),
        ([10, 11], .noControlToken, true),
        ([2, 11, end], .noControlToken, false),
        ([end], .noControlToken, false),
        ([1, 10, 3, 2, 12, end], .secondControlToken, false),
        ([1, 10, 2, 12, 1, end], .secondControlToken, false),
        ([3, 10, 3, end], .secondControlToken, false),
        ([3, 1], .secondControlToken, true),
        ([3, 10, 2, 11, end], .strayThinkEnd, false),
        ([1, 10, 2, 11, 2, 12, end], .strayThinkEnd, false),
        ([1, 10, 11, end], .missingThinkEnd, false),
    ])
    func defects(tokens: [Int], defect: FormDefect, isTruncated: Bool) {
        #expect(form(tokens).defect == defect)
        #expect(form(tokens).isTruncated == isTruncated)
    }

    @Test func truncationIsNotADefect() {
        #expect(form([1, 10, 11]).defect == nil && form([1, 10, 11]).isTruncated)
        #expect(form([1, 10, 2, 12]).answer == 3..<4)
        #expect(form([3]).answer.isEmpty && form([1]).working.isEmpty && form([1, end]).working.isEmpty)
        #expect(form([]).isTruncated && form([]).defect == .noControlToken)
    }
}

@Suite struct ModeRewardTests {
    private func verdict(_ tokens: [Int], _ text: String, reward: ModeReward = ModeReward()) throws -> Verdict {
        let problem = Problem(id: "p", problem: "1+1=?", answer: "2")
        return try reward.score([RewardQuery(problem: problem, form: form(tokens), answerText: text)])[0]
    }

    @Test func rewardsOfOutcomes() throws {
        let short = [3, 9, end]
        let think = [1, 9, 2, 9, end]
        #expect(try verdict(short, #"\boxed{2}"#) == Verdict(outcome: .right, answer: "2", reward: 1))
        #expect(try verdict(think, #"\boxed{2}"#) == Verdict(outcome: .right, answer: "2", reward: 0.5))
        #expect(try verdict(short, #"\boxed{3}"#) == Verdict(outcome: .wrong, answer: "3", reward: -1))
        #expect(try verdict(think, #"\boxed{3}"#) == Verdict(outcome: .wrong, answer: "3", reward: -1))
        #expect(try verdict(think, "2") == Verdict(outcome: .malformed, defect: .noAnswer, reward: -1))
        let right = try verdict([1, 9, 2, 9], #"\boxed{2}"#)
        #expect(right.outcome == .truncated && right.reward == -1)
        #expect(try verdict([1, 9, 9], "").outcome == .truncated)
        let second = try verdict([3, 1, 9, end], #"\boxed{2}"#)
        #expect(second == Verdict(outcome: .malformed, defect: .secondControlToken, reward: -1))
    }

    @Test func customValues() throws {
        var reward = ModeReward(values: .init(gamma: 0.2), rule: .bare)
        #expect(reward.values.breakEven == 0.9)
        #expect(ModeReward.Values().breakEven == 0.75)
        reward.values.thinkWrong = -0.5
        #expect(reward.values.breakEven == nil)
        #expect(try verdict([1, 2, 9, end], " 2\n", reward: reward).reward == 0.8)
        #expect(try verdict([1, 2, 9, end], "3", reward: reward).reward == -0.5)
        #expect(try verdict([1, 9], "", reward: reward).reward == -0.5)
    }

    @Test func groundTruthIsRequired() {
        let query = RewardQuery(problem: Problem(id: "q7", problem: "?"), form: form([3, end]), answerText: "")
        #expect(throws: RewardError.missingAnswer(problem: "q7")) { try ModeReward().score([query]) }
    }
}

@Suite struct AnswerExtractionTests {
    @Test(arguments: [
        (#"so \boxed{5}"#, "5"), (#"\boxed{1} then \boxed{\frac{1}{2}}."#, #"\frac{1}{2}"#),
        (#"\boxed{\{1,2\}}"#, #"\{1,2\}"#), (#"\boxed{7} and \boxed{8"#, "7"), (#"\boxed {9}"#, "9"),
        (#"{ \fbox{ 3 }"#, "3"), (#"}} \boxed{4}"#, "4"), (#"\boxed{a\\}"#, #"a\\"#),
    ])
    func lastBalancedBox(text: String, answer: String) {
        #expect(AnswerExtraction.answer(in: text, rule: .boxed) == answer)
    }

    @Test(arguments: ["", "5", #"\boxed{}"#, #"\boxed{ }"#, #"\boxed{5"#, #"\boxed"#, #"\boxedx y"#, #"\\boxed{5}"#])
    func noBox(text: String) { #expect(AnswerExtraction.answer(in: text, rule: .boxed) == nil) }

    @Test(arguments: [
        (#"3 #### 4 \boxed{5}"#, "5"), ("it is 3\n#### 1,234\nbye", "1,234"), ("The answer is: $12.50. Yes", "$12.50"),
        ("I think the ANSWER IS 7.", "7"), ("first 3, then 4.", "4"), ("between 3-4", "3-4"),
        ("x = -1,250.5", "-1,250.5"),
        ("about 3/4 of it", "3/4"), ("5\u{0301} and 6", "6"),
    ])
    func anyRule(text: String, answer: String) {
        #expect(AnswerExtraction.answer(in: text, rule: .any) == answer)
    }

    @Test func bareRule() {
        #expect(AnswerExtraction.answer(in: "\n 07 \n", rule: .bare) == "07")
        #expect(AnswerExtraction.answer(in: " \n", rule: .bare) == nil)
        #expect(AnswerExtraction.answer(in: "no digits", rule: .any) == nil)
    }
}
