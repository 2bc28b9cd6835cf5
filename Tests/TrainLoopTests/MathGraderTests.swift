import Foundation
import HostileAnswers
import TestSupport
import Testing
import TrainLoop

@Suite struct MathGraderTests {
    private static let equalPairs: [(String, String)] = [
        // Numbers
        ("12", "12.0"), ("0.5", #"\frac{1}{2}"#), (".5", "0.50"), ("1,234", "1234"), (#"1,\!234"#, "1234"),
        ("1{,}234,567", "1234567"), (#"\frac{24}{2}"#, "12"), ("3/4", #"\dfrac{3}{4}"#), (#"\frac34"#, "0.75"),
        (#"-\frac{1}{2}"#, #"\frac{-1}{2}"#), ("−5", "-5"), ("+5", "5"), ("5.", "5"), ("$5$", "5"),
        (#"1\frac{2}{3}"#, "5/3"), ("1 2/3", #"\frac53"#), (#"3 \times 10^{4}"#, "30000"), ("2.5*10^-2", "0.025"),
        (#"\mathbf{2340}"#, "2340"), ("(7)", "7"), ("{7}", "7"),
        ("1/2", "0.5"),
        // Percent, money, units, angles
        (#"50\%"#, "50"), ("0.5", #"50\%"#), ("50%", #"50\%"#), (#"\$23.40"#, "23.4"), ("5 cm", "5"),
        (#"5\text{ cm}"#, #"5\mbox{ centimeters}"#), ("5 feet", #"5\text{ ft}"#), (#"45^\circ"#, "45"),
        ("45°", #"45^{\circ}"#),
        (#"12\text{ cm}^2"#, "12"), ("5 apples", #"5\text{ apples}"#),
        (#"480+480\sqrt{3}\text{ feet}"#, #"480(1+\sqrt3)"#),
        // Roots
        (#"\sqrt{18}"#, #"3\sqrt{2}"#), (#"\frac{1}{\sqrt{2}}"#, #"\frac{\sqrt{2}}{2}"#),
        (#"\sqrt{6}"#, #"\sqrt2\sqrt3"#),
        (#"\sqrt[3]{16}"#, #"2\sqrt[3]{2}"#), ("sqrt(2)/2", #"\frac{\sqrt2}{2}"#),
        (#"\sqrt{3+2\sqrt{2}}"#, #"1+\sqrt{2}"#),
        (#"2^{1/2}"#, #"\sqrt2"#), (#"\frac{1}{1+\sqrt2}"#, #"\sqrt2-1"#), (#"\sqrt{-4}"#, "2i"),
        (#"\sqrt[3]{-8x^3}"#, "-2x"),
        (#"\sqrt{8+4\sqrt{3}}"#, #"2\sqrt{2+\sqrt{3}}"#), (#"\frac{\sqrt{5}}{\sqrt{20}} x"#, #"\frac{x}{2}"#),
        // Algebra
        ("x^2+2x+1", "(x+1)^2"), ("5n+10", "10+5n"), (#"\frac{1}{x-1}"#, #"\frac{-1}{1-x}"#), ("(1+i)^2", "2i"),
        (#"\frac{1}{1+i}"#, #"\frac{1-i}{2}"#), ("25i+2001", "2001+25i"), ("ab", "ba"), ("2xyz", "2zyx"),
        (#"e^{x+y}"#, "e^x e^y"),
        (#"x\sqrt{x}"#, "x^{3/2}"), (#"2^{n+1}"#, #"2\cdot2^n"#), (#"\frac{\pi}{4}"#, "0.25π"), (#"\ln 4"#, #"2\ln 2"#),
        (#"\log_2 8 + x"#, "x+3"), (#"\sin^2 x + \cos^2 x + y"#, "1+y"), (#"\binom{5}{2}x"#, "10x"), ("4!x", "24x"),
        ("|-3|x", "3x"),
        (#"\frac{2ab}{a^2+b^2}"#, #"\frac{-2ab}{-b^2-a^2}"#), ("a_{1}+a_2", "a_2+a_1"),
        (#"\tan^{-1} x"#, #"\arctan x"#),
        // Structures
        ("(1, 2)", #"\left(1,\frac{4}{2}\right)"#), (#"\langle 1,2\rangle"#, "(1,2)"), ("[0,1)", #"\left[0,1\right)"#),
        ("2, 1", "1,2"), (#"\{1,2\}"#, #"\{2,1\}"#), (#"1 \text{ and } 2"#, "1, 2"), ("1 or 2", "2,1"),
        (#"\pm 2"#, "-2,2"),
        (#"3\pm\sqrt2"#, #"3+\sqrt2,3-\sqrt2"#), ("{5}", "5"), (#"\{5\}"#, "5"), ("234, 1", "1,234"),
        (#"(-\infty,1)\cup(2,\infty)"#, #"(2,\infty) \cup (-\infty, 1)"#), (#"x\in[0,1]"#, "[0,1]"),
        ("x > 5", #"(5,\infty)"#),
        ("1 < x \\le 2", "(1,2]"), ("x \\geq 0", "x>=0"), ("5 < x", "x > 5"),
        (#"\begin{pmatrix}1/2\\-1\end{pmatrix}"#, #"\begin{bmatrix} 0.5 \\ -1 \end{bmatrix}"#), ("3:5", "3 : 5"),
        // Relations
        ("x=4", "4"), ("4", "x = 4"), ("y=2x-13", "y = -13 + 2x"), ("2x-y+3=0", "y-2x-3=0"), ("4x-2y=-6", "2x-y+3=0"),
        (#"s^2 \le 8r^2"#, #"8r^2 \ge s^2"#), (#"10001_2"#, "10001_{2}"), (#"x \neq 2"#, #"x \ne 2"#),
        // Words
        (#"\text{Friday}"#, "friday"), ("(A)", #"\text{A}"#), (#"\text{(B)}"#, "B"), (#"\text{A, C}"#, "C,A"),
        ("Yes.", #"\text{yes}"#),
    ]

    @Test(arguments: equalPairs)
    func equal(answer: String, truth: String) { #expect(MathGrader.areEquivalent(answer, truth)) }

    private static let unequalPairs: [(String, String)] = [
        ("12", "13"), ("12", "-12"), ("1234", "1,235"), ("0.333", #"\frac{1}{3}"#), ("3.14", #"\pi"#), ("12", "1,2"),
        (#"\frac{1}{23}"#, #"\frac{12}{3}"#), (#"\frac{12}{3}"#, #"\frac{1}{23}"#), ("50%", "5"), ("5 cm", "5 m"),
        ("4xyz", "4"),
        ("5 cm", "6 cm"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("(0,1]", "[0,1)"), ("1,2", "(1,2)"),
        ("1,2,2", "1,2"),
        ("1,1,2", "1,2,2"), (#"\sqrt{2}"#, #"\sqrt{3}"#), (#"\sqrt{18}"#, "3"), ("x+1", "x-1"), ("x^2", "2x"),
        ("x", "y"),
        (#"\sqrt{3+2\sqrt2}"#, #"2+\sqrt2"#), ("x>5", #"[5,\infty)"#), ("x<5", "x>5"), ("x=4", "y=4"),
        ("2x-y+3=0", "2x-y-3=0"),
        ("x<y", "y<x"), (#"10001_2"#, "10001_3"), ("10001", "10001_2"), (#"\text{Friday}"#, "Monday"), ("A", "B"),
        ("", "5"),
        (#"\begin{pmatrix}1\\2\end{pmatrix}"#, #"\begin{pmatrix}2\\1\end{pmatrix}"#), ("2,3:5", "3:5"), ("nan", "5"),
        ("5", ""),
        (#"\begin{pmatrix}1&2\end{pmatrix}"#, #"\begin{pmatrix}1\\2\end{pmatrix}"#), ("1/0", "5"),
        (#"\frac{0}{0}"#, "0"),
        ("5 6", "30"), ("12 or 13", "12"), ("12, 13", "12"), ("12 13 14", "13"), ("e", "2.718281828"),
        ("x", #"\frac{x^2+1}{x}"#),
        // Unevaluated expressions do not equal a number.
        ("2+3", "5"), (#"2\cdot3"#, "6"), ("3^2", "9"), (#"\sqrt{4}"#, "2"), ("5!", "120"), (#"\binom{4}{2}"#, "6"),
        ("10-5", "5"),
        ("(2)(3)", "6"), ("2(3)", "6"), ("10^{2}+0", "100"), (#"\frac{2+3}{1}"#, "5"), ("|-5|", "5"),
        ("(2+3,4)", "(5,4)"),
        ("x=2+3", "5"), ("2+3, 1", "5, 1"), (#"2+3\text{ cm}"#, "5"), (#"(2+3)\%"#, "5"),
    ]

    @Test(arguments: unequalPairs)
    func unequal(answer: String, truth: String) { #expect(!MathGrader.areEquivalent(answer, truth)) }

    /// No hostile answer is right, crashes the program or takes long; grading-bench measures the time.
    @Test(arguments: HostileAnswers.all.map(\.name)) func hostileAnswersAreWrong(name: String) throws {
        let text = try #require(HostileAnswers.all.first { $0.name == name }).text
        for rule in AnswerRule.allCases {
            guard let found = AnswerExtraction.answer(in: text, rule: rule) else { continue }
            for truth in HostileAnswers.truths {
                // Repeated boxes and numbers may still give a right last answer.
                let mayBeRight =
                    truth == found || (truth == "5" && found == "5") || (name == "a list of 300" && truth.count > 300)
                #expect(MathGrader.areEquivalent(found, truth) == mayBeRight, "\(rule), \(truth.prefix(20))")
            }
        }
    }

    @Test func hostileAnswersEqualOnlyThemselves() {
        let long = String(repeating: "1+", count: 5000) + "1"
        #expect(MathGrader.areEquivalent(long, long))
        #expect(!MathGrader.areEquivalent(long, "5001"))
        #expect(MathGrader.areEquivalent("10^{10^{10}}", "10^{10^{10}}"))
        #expect(!MathGrader.areEquivalent("10^{10^{10}}", "10^{10^{11}}"))
    }
}

@Suite struct RecordedResponseTests {
    @Test func allRowFormatsAreGraded() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"answer":"2","response":"<short>\n\\boxed{2}"}
            {"answer":"2","response":"<think>\\boxed{2}</think>so \\boxed{3}","level":"L1"}
            {"id":"r1","problem":"p","answer":"2","completion":"<think>never ends \\boxed{2}","truncated":true}
            {"doc_id":4,"doc":{"problem":"q"},"target":"2","resps":[["it is \\boxed{2}"],["#### 2"]]}
            {"input":"q","output":"thinking</think>\\boxed{2}","gts":"2","score":1}
            {"answer":"2","response":"<short>\\boxed{2}</think>"}
            {"answer":"2","response":"<think>\\boxed{2}"}
            {"answer":"2","response":"<short>I <think> \\boxed{2}"}
            {"answer":"work\n#### 2","response":"<think></think> 2 "}
            """#, to: "responses.jsonl")
        let grading = try ResponseGrading(RecordedResponse.read(path: path), reward: ModeReward())
        #expect(
            grading.items.map(\.verdict.outcome)
                == [
                    .right, .wrong, .truncated, .right, .malformed, .right, .malformed, .malformed, .malformed,
                    .malformed,
                ])
        #expect(
            grading.items.map(\.verdict.defect)
                == [
                    nil, nil, nil, nil, .noAnswer, nil, .strayThinkEnd, .missingThinkEnd, .secondControlToken,
                    .noAnswer,
                ])
        #expect(
            grading.items.map(\.form.mode) == [
                .short, .think, .think, nil, nil, .think, .short, .think, .short, .think,
            ])
        #expect(grading.byMode.map(\.name) == ["none", "short", "think"] && grading.byLevel.map(\.name) == ["L1"])
        #expect(grading.accuracyByRule.map(\.accuracy) == [0.3, 0.3, 0.5])
        #expect(grading.all.count == 10 && grading.all.accuracy.mean == 0.3)
        let copy = folder.path("graded.jsonl")
        try grading.write(to: copy, overwrite: false)
        let rows = try String(contentsOfFile: copy, encoding: .utf8).split(separator: "\n")
        #expect(
            rows[1].hasSuffix(
                #""level":"L1","grade":{"mode":"think","outcome":"wrong","defect":null,"found":"3","reward":-1}}"#))
        #expect(rows[3].contains(#""reward":null"#))
    }

    /// Samples in the format of lm-evaluation-harness, with prompts that force a mode and worked solutions as targets.
    @Test func samplesOfLMEvaluationHarness() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"doc_id":0,"doc":{"question":"q","answer":"5+5\n#### 10"},"target":"5+5\n#### 10","arguments":{"gen_args_0":{"arg_0":"<|user|>q<|assistant|><short>\n","arg_1":{"until":[]}}},"resps":[["so \\boxed{10}"]],"filtered_resps":["10"],"filter":"none","doc_hash":"h"}
            {"doc_id":1,"doc":{"problem":"r","level":"Level 5","solution":"s"},"target":"We get \\boxed{\\frac{1}{2}}.","arguments":{"gen_args_0":{"arg_0":"r<think>"}},"resps":[["a","b</think>\\boxed{0.5}"]]}
            {"doc_id":2,"doc":{"Problem":"t"},"target":204,"arguments":{"gen_args_0":{"arg_0":"t"}},"resps":[["<think>u</think>\\boxed{204}"]]}
            """#, to: "samples.jsonl")
        let responses = try RecordedResponse.read(path: path)
        #expect(responses.map(\.problem.answer) == ["10", #"\frac{1}{2}"#, #"\frac{1}{2}"#, "204"])
        #expect(responses.map(\.problem.problem) == ["q", "r", "r", "t"])
        #expect(responses.map(\.problem.level) == [nil, "Level 5", "Level 5", nil])
        let grading = try ResponseGrading(responses, reward: ModeReward())
        #expect(grading.items.map(\.form.mode) == [.short, .think, .think, .think])
        #expect(grading.items.map(\.verdict.outcome) == [.right, .malformed, .right, .right])
        #expect(grading.items.map(\.reward) == [1, -1, 0.5, 0.5])
        // Both repeats of a problem form one cluster.
        #expect(grading.all.reward.count == 4 && grading.byLevel[0].tally.accuracy.standardError.isNaN)
    }

    /// The form in a rollout log is that of the token ids, whatever tags the text spells.
    @Test func rolloutLogsAreGradedAsTheRunDid() throws {
        let folder = try TemporaryFolder()
        let head = #"{"step":1,"id":"a","sample":0,"problem":"p","answer":"so it is 5\n#### 5","completion":"#
        let tail =
            #","forced":false,"advantage":0,"tokens":3,"in_loss":true,"p_think":0.5,"p_short":0.5,"answer_rule":"bare","#
            + #""reward_source":"math"}"#
        func row(_ text: String, _ mode: String, _ outcome: String, _ defect: String, _ found: String, _ reward: String)
            -> String
        {
            head + text
                + #","mode":\#(mode),"outcome":"\#(outcome)","defect":\#(defect),"found":\#(found),"reward":\#(reward),"#
                + #""truncated":\#(outcome == "truncated")"# + tail
        }
        let path = try folder.write(
            [
                row(
                    #""<think>it spells <short> and </think>.</think>5""#, #""think""#, "right", "null", #""5""#, "0.25"
                ),
                row(#""<short>5""#, "null", "malformed", #""no-control-token""#, "null", "-2"),
                row(#""<short>5</think>""#, #""short""#, "malformed", #""stray-think-end""#, "null", "-2"),
                row(#""<short>""#, #""short""#, "malformed", #""no-answer""#, "null", "-2"),
                row(#""<short>5 and""#, #""short""#, "truncated", "null", #""5 and""#, "-1"),
                row(#""<short>6""#, #""short""#, "wrong", "null", #""6""#, "-1"),
            ].joined(separator: "\n"), to: "rollouts.jsonl")
        let responses = try RecordedResponse.read(path: path)
        #expect(responses.map(\.judgement?.rule) == Array(repeating: .bare, count: 6))
        let grading = try ResponseGrading(responses, reward: ModeReward(rule: .bare), keepsRewards: true)
        #expect(grading.items.map(\.verdict) == responses.map(\.judgement?.verdict))
        #expect(grading.items.map(\.reward) == [0.25, -2, -2, -2, -1, -1])
        // Other values of the rewards change the rewards only.
        let other = try ResponseGrading(responses, reward: ModeReward(values: .init(gamma: 0.1), rule: .bare))
        #expect(other.items.map(\.verdict.outcome) == grading.items.map(\.verdict.outcome))
        #expect(other.items.map(\.reward) == [0.9, -1, -1, -1, -1, -1])
        let both = ResponseGrading([grading, other])
        #expect(both.all.count == 12 && both.all.outcomes == [.right: 2, .malformed: 6, .truncated: 2, .wrong: 2])
        #expect(both.accuracyByRule.map(\.rule) == AnswerRule.allCases)
        #expect(both.json(files: [("a", grading.all)])["by_file"]?["a"]?["responses"]?.int == 6)
    }

    @Test(arguments: [
        (#"{"response":"x"}"#, "no answer to grade against; give \"answer\" (or \"target\")"),
        (#"{"answer":"x"}"#, "no response found; give \"response\", \"completion\" or \"resps\""),
    ])
    func mistakesAreNamed(row: String, message: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(row, to: "r.jsonl")
        #expect { try RecordedResponse.read(path: path) } throws: { "\($0)" == path + ", line 1: " + message }
    }
}
