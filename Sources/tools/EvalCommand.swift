import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop
import Transformer

struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Accuracy, tokens and choice of mode on problems, by level; before and after.",
        discussion: """
            Examples:
              ckpt eval rl/step-000005.h5 --data test.jsonl
              ckpt eval sft/step-000020.h5 rl/step-000005.h5 --data test.jsonl \\
                --mode auto --mode think

            With one checkpoint: a row a level for each --mode. With two: how the second differs from the first. \
            --answers keeps every answer as JSON lines. --require-think-accuracy and --require-mode-share turn the \
            evaluation into a gate: exit status 1, and why, where the model falls short.
            """)

    @Argument(help: "One checkpoint, or two: before and after.", completion: .file(extensions: ["h5"]))
    var inputs: [String]

    @Option(help: "Problems with answers, JSON lines.", completion: .file(extensions: ["jsonl", "json"]))
    var data: String

    @Option(help: "Who chooses the mode: auto (the model), think or short. May be given several times.")
    var mode: [Evaluation.Condition] = [.auto]

    @Option(help: "Answers sampled for each problem.")
    var samples = 1

    @Option(help: "Sampling temperature; 0 takes the likeliest token.")
    var temperature = 0.6

    @Option(help: "Sample from the likeliest tokens that hold this much probability.")
    var topP = 0.95

    @Option(help: "Tokens of an answer at most; a longer one counts as wrong.")
    var maxNewTokens = 1024

    @Option(help: "Where the answer stands: any (box, ####, last number), boxed, bare (the whole text).")
    var answer = AnswerRule.any

    @Option(help: "Evaluate the first problems only.")
    var limit: Int?

    @Option(help: "Seed of the samples.")
    var seed: UInt64 = 0

    @Option(help: "Write every answer to this file, JSON lines.")
    var answers: String?

    @Flag(help: "Replace the --answers file if it exists.")
    var force = false

    @Option(help: "Fail unless forced thinking is right in at least this share.")
    var requireThinkAccuracy: Double?

    @Option(help: "Fail unless each mode is chosen in at least this share of free answers.")
    var requireModeShare: Double?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard (1...2).contains(inputs.count) else { throw ValidationError("give one checkpoint, or two to compare") }
        guard samples >= 1, maxNewTokens >= 1, limit ?? 1 >= 1 else {
            throw ValidationError("--samples, --max-new-tokens and --limit must be at least 1")
        }
        guard temperature >= 0, topP > 0, topP <= 1 else {
            throw ValidationError("--temperature or --top-p is out of range")
        }
    }

    func run() throws {
        if let answers, FileManager.default.fileExists(atPath: answers), !force { throw OutputError.exists(answers) }
        var problems = try ProblemFile.read(path: data, requiresAnswer: true)
        if let limit { problems = Array(problems.prefix(limit)) }
        var conditions = mode
        if requireThinkAccuracy != nil, !conditions.contains(.think) { conditions.append(.think) }
        if requireModeShare != nil, !conditions.contains(.auto) { conditions.append(.auto) }
        var options = Evaluation.Options()
        options.conditions = Evaluation.Condition.allCases.filter(conditions.contains)
        options.samplesPerProblem = samples
        options.temperature = temperature
        options.topP = topP
        options.maximumNewTokens = maxNewTokens
        options.rule = answer
        options.seed = seed

        let results = try inputs.map { try Self.evaluate($0, problems, options) }
        if let answers { try write(results, to: answers) }
        let report = EvaluationReport(names: inputs, results: results, conditions: options.conditions)
        print(json ? report.json.serialized(indent: 2) : report.text, terminator: json ? "\n" : "")

        let shortfalls = report.shortfalls(thinkAccuracy: requireThinkAccuracy, modeShare: requireModeShare)
        guard shortfalls.isEmpty else {
            Terminal.writeError("not met: " + shortfalls.joined(separator: "; "))
            throw ExitCode(1)
        }
    }

    private static func evaluate(
        _ path: String, _ problems: [Problem], _ options: Evaluation.Options
    ) throws -> Evaluation {
        let file = try CheckpointFile(path: path)
        let encoder = try PromptEncoder(file)
        let total = problems.count * options.conditions.count * options.samplesPerProblem
        let bar = ProgressBar(path, total: total, unit: .count("answers"))
        defer { bar.finish() }
        return try Evaluation(
            problems, encoder: encoder, parameters: try ModelParameters(file), options: options,
            progress: { done, _ in bar.update(done) })
    }

    private func write(_ results: [Evaluation], to path: String) throws {
        var rows: [JSON] = []
        for (name, result) in zip(inputs, results) {
            for answer in result.answers {
                let problem = result.problems[answer.problem]
                rows.append([
                    "checkpoint": .string(name), "id": .string(problem.id),
                    "level": problem.level.map { .string($0) } ?? .null, "problem": .string(problem.problem),
                    "answer": .string(problem.answer ?? ""), "condition": .string(answer.condition.rawValue),
                    "sample": .integer(answer.sample), "mode": answer.mode.map { .string($0.rawValue) } ?? .null,
                    "correct": .bool(answer.isCorrect), "truncated": .bool(answer.isTruncated),
                    "tokens": .integer(answer.tokenCount), "completion": .string(answer.text),
                ])
            }
        }
        let text = rows.map { $0.serialized() + "\n" }.joined()
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}

extension Evaluation.Condition: ExpressibleByArgument {}
