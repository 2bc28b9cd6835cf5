import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop
import Transformer

struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Accuracy, tokens and choice of mode on problems, by mode and level, of one checkpoint or several.",
        discussion: """
            Examples:
              ckpt eval rl/step-000005.h5 --data test.jsonl --answers answers.jsonl
              ckpt eval sft/step-000020.h5 rl/step-000005.h5 --data test.jsonl \\
                --data aime.jsonl --mode all --markdown
              ckpt eval rl/step-000005.h5 --data test.jsonl --mode all --samples 8 \\
                --threshold sweep

            Pass@1 comes with its standard error, clustered by problem. Prompt, sampling and answers follow the \
            evaluation of the method (Thinkless), and the report says where they do not. With --mode all and 8 samples \
            or more: how often the model chose the better mode, and what a perfect choice would give.

            --answers keeps every answer as JSON lines; the same command goes on from there after an interruption. \
            --require-think-accuracy and --require-mode-share turn the evaluation into a gate: exit status 1, and why, \
            where the last checkpoint falls short.
            """)

    @Argument(
        help: ArgumentHelp("Checkpoints: one, or several for one table.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var inputs: [String]

    @OptionGroup(title: "What is asked")
    var asking: EvaluationArguments

    @OptionGroup(title: "What is reported")
    var reporting: EvaluationReportArguments

    func run() throws {
        let sets = try asking.problemSets()
        let options = try asking.options(reporting)
        let log = try reporting.answerLog(options)
        var results: [EvaluatedModel] = []
        try Interruption.watching(notice: "stopping; once more to stop at once") { interruption in
            for path in inputs {
                let file = try CheckpointFile(path: path)
                try MemoryFit.check(weightsOf: file, options.weightPrecision)
                let model = LoadedModel(
                    path: path, digest: file.weightsDigest,
                    encoder: try PromptEncoder(file),
                    weights: try options.weightPrecision.model(file, products: options.products))
                for set in sets {
                    let evaluation = try evaluate(model, set, options, log, interruption)
                    results.append(
                        EvaluatedModel(checkpoint: path, data: set.name, evaluation: evaluation, reporting))
                }
            }
        }
        let report = EvaluationReport(results: results, options: options, reporting)
        print(report.rendered, terminator: "")

        let shortfalls = report.shortfalls(
            thinkAccuracy: reporting.requireThinkAccuracy, modeShare: reporting.requireModeShare)
        guard shortfalls.isEmpty else {
            Terminal.writeError("not met: " + shortfalls.joined(separator: "; "))
            throw ExitCode(1)
        }
    }

    private struct LoadedModel {
        let path: String
        let digest: String
        let encoder: PromptEncoder
        let weights: Model
    }

    private func evaluate(
        _ model: LoadedModel, _ set: ProblemSet, _ options: Evaluation.Options, _ log: AnswerLog?,
        _ interruption: Interruption
    ) throws -> Evaluation {
        let subject = AnswerLog.Subject(checkpoint: model.path, weightsDigest: model.digest, data: set.name)
        let kept = try log?.answers(of: subject, to: set.problems) ?? []
        if !kept.isEmpty {
            Terminal.writeError("\(model.path), \(set.name): going on after \(kept.count) kept answers")
        }
        let title = asking.data.count > 1 ? "\(model.path), \(set.name)" : model.path
        let bar = ProgressBar(
            title, total: set.problems.count * options.conditions.count * options.samplesPerProblem,
            unit: .count("answers"), before: kept.count)
        defer { bar.finish() }
        var hooks = EvaluationHooks()
        hooks.progress = { done, _ in bar.update(done) }
        hooks.shouldStop = { interruption.isRequested }
        hooks.keep = { answers, facts in try log?.append(answers, of: subject, to: set.problems, facts) }
        do {
            return try FileError.naming(model.path) {
                try Evaluation(
                    set.problems, encoder: model.encoder, model: model.weights, options: options, kept: kept,
                    hooks: hooks)
            }
        } catch let error as FileError where interruption.isRequested {
            bar.finish()
            Terminal.writeError(
                error.description
                    + (log.map { "; \($0.path) keeps them, and the same command goes on" }
                        ?? "; with --answers FILE they would be kept"))
            throw ExitCode(130)
        }
    }
}
