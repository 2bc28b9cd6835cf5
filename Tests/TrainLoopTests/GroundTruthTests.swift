import TestSupport
import Testing
import TrainLoop

@Suite struct GroundTruthTests {
    @Test(arguments: [
        ("12", "12"), (" 12\n", "12"), (#"so\n\\boxed{004}."#, "004"), (#"1 \\\boxed{5}"#, "5"), (#"$\boxed{8}$"#, "8"),
        (#"\boxed{\boxed{8}}"#, "8"), ("5+3=8\n#### 8", "8"),
        ("#### **1,234**", "1,234"), ("… so the answer is $12$.", "12"), ("Answer: B", "B"),
        ("She has 4 left in all.", "4"),
        ("She has 12 eggs.\nSo she keeps 4.", "4"), ("Monday", "Monday"), ("B", "B"), ("(B)", "(B)"),
        (#"\text{even}"#, #"\text{even}"#), ("no such function exists", "no such function exists"), ("(0,1]", "(0,1]"),
        ("3 hours 20 minutes", "3 hours 20 minutes"),
        (#"\begin{pmatrix}1\\2\end{pmatrix}"#, #"\begin{pmatrix}1\\2\end{pmatrix}"#),
    ])
    func resultIsRead(truth: String, result: String) {
        #expect(GroundTruth(truth).text == result)
        #expect(GroundTruth(truth).defect == nil)
        #expect(MathGrader.areEquivalent(result, truth))
    }

    @Test(arguments: [
        ("", GroundTruth.Defect.empty), (" \n", .empty), (#"\frac{1}{2"#, .unbalanced), (#"\left(1,2"#, .unbalanced),
        (#"\begin{pmatrix}1"#, .unbalanced), (#"5}"#, .unbalanced), (String(repeating: "9", count: 2001), .tooLong),
        ("We count all the cases one by one and then we add them.", .withoutResult),
        ("To find it we add both.\nThen we multiply by the height.", .withoutResult),
    ])
    func defectIsNamed(truth: String, defect: GroundTruth.Defect) { #expect(GroundTruth(truth).defect == defect) }

    @Test func exactGraderReadsTruthsToo() {
        #expect(ExactGrader().isRight("8", truth: "so it is 8\n#### 8"))
        #expect(!ExactGrader().isRight("8.0", truth: "so it is 8\n#### 8"))
    }

    @Test func unreadableAnswersAreReportedBeforeARun() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"problem":"a","answer":"5"}
            {"problem":"b","answer":"\\frac{1}{2"}
            {"id":"x","problem":"c","answer":"We count all the cases one by one and then we add them."}
            {"problem":"d"}
            """#, to: "p.jsonl")
        let problems = try ProblemFile.read(path: path)
        let report = try #require(GroundTruthReport(problems))
        #expect(
            report.text == "2 of 3 answers cannot be read: 2 (its brackets or LaTeX environments are not balanced), x")
        #expect(!report.isOfAll)
        #expect(GroundTruthReport([problems[0], problems[3]]) == nil)
        #expect(GroundTruthReport([problems[1]])?.isOfAll == true)
        let findings = DataCheck(problems: problems).findings.map(\.text)
        #expect(findings.contains("whose answer cannot be read: it is a text without a result"))
    }
}

@Suite struct AnswerReadingTests {
    @Test(arguments: [
        (#"So the probability is $\frac{1}{2}$."#, #"\frac{1}{2}"#), ("The answer is **73**.", "73"),
        ("The answer is: **73**", "73"), ("The answer is **29 dollars**.", "29"), ("#### **72**", "72"),
        ("The answer is `73`", "73"), (#"It takes $2\frac{1}{2}$ hours."#, #"2\frac{1}{2}"#),
        ("It takes 2 1/2 hours.", "2 1/2"),
        ("it is now −3 °C.", "−3"), ("so the change is -$5", "-$5"), ("She pays $9{,}500.", "$9{,}500"),
        (#"**Answer:** $2\sqrt{3}$"#, #"2\sqrt{3}"#), ("Answer: B", "B"), ("The answer is **option B**.", "B"),
        ("The point is $(3, 4)$.", "(3, 4)"), ("The answer is 3, because 1+2=3.", "3"), ("it is 3^2", "3^2"),
        ("**Final Answer:**\n\n$$\n\\frac{1}{2}\n$$\n", #"\frac{1}{2}"#), ("The roots are 1, 2.", "1, 2"),
        (#"The final answer is \( 5 \)"#, "5"), ("$5$ or $6$", "5, 6"), ("#### Step 2\nThen we get 5.", "5"),
        (#"The answer is $\text{Monday}$"#, "Monday"), ("So the sum of the 3 numbers is 12.", "12"),
        (#"Therefore \boxed 5"#, "5"), (#"\boxed{\boxed{73}}"#, "73"),
        ("Final answer: $12$. I hope it is correct.", "12"),
        ("x = 5", "5"), ("$E$", "E"), ("B", "B"), ("It costs 1 000 francs.", "1 000"),
        ("It costs 5 million dollars.", "5 million"),
    ])
    func certain(text: String, answer: String) {
        #expect(AnswerExtraction.reading(of: text, rule: .any) == .certain(answer))
    }

    @Test(arguments: [
        ("She has 12 eggs left in 3 boxes.", "3"), ("So the answer is 3 apples and 5 pears.", "3"),
        ("In 2020, 5 people left.", "5"), ("It is 5.\nTell me if you need more.", "5"), ("It is not 5.", "5"),
    ])
    func likely(text: String, answer: String) {
        #expect(AnswerExtraction.reading(of: text, rule: .any) == .likely(answer))
    }

    @Test(arguments: [
        "The answer is not 5.", "It lasted 3 hours 20 minutes.", #"The answer is \begin{cases} 5 & x > 2"#,
        "The answer is the one that the formula of page 5, after 3 steps, gives: 2 +",
        "The answer is the formula above for all of them.",
    ])
    func unreadable(text: String) {
        #expect(AnswerExtraction.reading(of: text, rule: .any) == .unreadable)
        #expect(AnswerExtraction.answer(in: text, rule: .any) == nil)
    }

    @Test(arguments: ["", " ", "no number"]) func nothing(text: String) {
        for rule in AnswerRule.allCases where rule != .bare {
            #expect(AnswerExtraction.reading(of: text, rule: rule) == .none)
        }
    }
}
