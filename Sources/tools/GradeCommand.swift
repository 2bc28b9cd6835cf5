import ArgumentParser
import Foundation
import OrderedJSON
import TrainLoop

/// How answers are compared with the ground truth.
enum GraderChoice: String, CaseIterable, ExpressibleByArgument {
    case math
    case exact

    var grader: any AnswerGrader { self == .math ? MathGrader() : ExactGrader() }
}

struct GradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grade",
        abstract: "Grade recorded responses, and say which answer was found in each.",
        discussion: """
            Examples:
              ckpt grade rl/rollouts/step-000005.jsonl
              ckpt grade samples_aime.jsonl --answer any -o graded.jsonl

            Reads rows of answer and response, rollout logs, answers kept by eval, and lm-eval samples. The answer is \
            looked for after </think>, or in the short response, never inside the thinking. -o writes every row with \
            its verdict.
            """)

    @Argument(help: "Responses, JSON lines.", completion: .file(extensions: ["jsonl", "json"]))
    var input: String

    @Option(name: [.short, .customLong("output")], help: "Write every row with its verdict to this file.")
    var output: String?

    @Flag(help: "Replace the output if it exists.")
    var force = false

    @Option(help: "Where the answer stands: boxed, bare (the whole text), any (box, ####, last number).")
    var answer = AnswerRule.boxed

    @Option(help: "How answers are compared: math, or exact.")
    var reward = GraderChoice.math

    @Option(help: "What thinking costs a right answer.")
    var gamma = 0.5

    @Flag(help: "Print the summary as JSON.")
    var json = false

    func run() throws {
        if let output, FileManager.default.fileExists(atPath: output), !force { throw OutputError.exists(output) }
        let responses = try RecordedResponse.read(path: input)
        let grading = try ResponseGrading(
            responses, reward: ModeReward(values: .init(gamma: gamma), rule: answer, grader: reward.grader))
        if let output { try grading.write(to: output, overwrite: force) }
        if json {
            print(grading.json.serialized(indent: 2))
            return
        }
        print(Format.column("", 12) + "responses  right  wrong  malformed  truncated")
        for (name, tally) in [("all", grading.all)] + grading.byMode + grading.byLevel {
            func share(_ outcome: Outcome, _ width: Int) -> String {
                let share = Double(tally.outcomes[outcome] ?? 0) / Double(max(1, tally.count))
                return Format.column(Format.percent(share), width, alignRight: true)
            }
            print(
                Format.column(name, 12) + Format.column(Format.grouped(tally.count), 9, alignRight: true)
                    + share(.right, 7) + share(.wrong, 7) + share(.malformed, 11) + share(.truncated, 11))
        }
        let rules = grading.accuracyByRule.map { "\($0.rule.rawValue) \(Format.percent($0.accuracy, decimals: 1))" }
        print("\nright by answer rule: " + rules.joined(separator: ", "))
    }
}
