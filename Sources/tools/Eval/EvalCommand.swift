import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Ranks
import TrainLoop
import Transformer

struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measure accuracy, tokens and mode choices of one or more models, by mode and level.",
        discussion: """
            Examples:
              ckpt eval rl/step-000005.h5 --data test.jsonl --answers answers.jsonl
              ckpt eval sft/step-000020.h5 rl/step-000005.h5 --data test.jsonl \\
                --data aime.jsonl --mode all --markdown
              ckpt eval rl/step-000005.h5 --data test.jsonl --mode all --samples 8 \\
                --threshold sweep

            Pass@1 is reported with its standard error, clustered by problem; with several samples, so are pass@k \
            and maj@k. Prompt, sampling and grading follow the \
            evaluation of the method (Thinkless); the report lists the differences. With --mode all and at least 8 \
            samples, it also shows how often the model chose the better mode, and the result of perfect choices.

            --answers stores every answer as JSON lines; after an interruption, the same command resumes from them. \
            --require-think-accuracy and --require-mode-share turn the evaluation into a gate: if the last checkpoint \
            falls short, the exit status is 1 and the reason is printed.

            --server http://127.0.0.1:8000/v1 judges a model behind a server with OpenAI's chat completions API (vLLM, \
            SGLang, llama-server) in the same way, alone or beside checkpoints. The server's chat template makes the \
            prompt, and a mode is forced by starting the answer with its token.
            """)

    @Argument(
        help: ArgumentHelp(
            "Models, each a \(ModelArguments.formats); several are compared in one table.", valueName: "model"),
        completion: .file())
    var inputs: [String] = []

    @OptionGroup var models: ModelArguments

    @OptionGroup(title: "Problems and sampling")
    var asking: EvaluationArguments

    @OptionGroup(title: "Report")
    var reporting: EvaluationReportArguments

    @OptionGroup(title: "Server")
    var serving: ServedModelArguments

    func validate() throws {
        guard !inputs.isEmpty || serving.server != nil else {
            throw ValidationError("give a checkpoint, or a server with --server")
        }
        try serving.check()
        guard serving.server != nil else { return }
        guard asking.budget == nil else {
            throw ValidationError("--budget is for checkpoints only; a server has no place to end the thinking at")
        }
        guard asking.weights == .fp32, asking.products == .fp32, asking.cache.cache == .fp32 else {
            throw ValidationError(
                "--weights, --products and --cache are for checkpoints only; a server chooses its own precision")
        }
    }

    func run() throws {
        let ranks = try RankProcess.start()
        try models.check(inputs)
        try RankProcess.refuseSeveral(ranks, for: serving.server.map { _ in "--server" })
        let sets = try asking.problemSets()
        var options = try asking.options(reporting)
        options.maximumNewTokens = try newTokens(sets, options)
        options.serverMembers = try serving.members()
        let log = ranks.isRoot ? try reporting.answerLog(options) : nil
        if let log, let text = log.damage.text(of: log.path, remedy: "their answers are made again") {
            Terminal.warn(text)
        }
        var results: [EvaluatedModel] = []
        try Interruption.watching(notice: "stopping; press again to stop at once") { interruption in
            for path in inputs {
                // Stored answers are those of a model with the same digest.
                let file = try models.open(path, hashing: true)
                try MemoryFit.check(weightsOf: file, options.weightPrecision)
                let model = LoadedModel(
                    path: path, digest: file.weightsDigest,
                    encoder: try PromptEncoder(file),
                    weights: try options.weightPrecision.model(file, products: options.products))
                options.cacheByteLimit = asking.cache.byteLimit
                let subject = Subject(name: path, digest: model.digest)
                for set in sets {
                    let evaluation = try evaluate(subject, set, options, log, interruption, ranks) { kept, hooks in
                        try Evaluation(
                            set.problems, encoder: model.encoder, model: model.weights, options: options, kept: kept,
                            hooks: hooks, ranks: ranks)
                    }
                    results.append(
                        EvaluatedModel(checkpoint: path, data: set.name, evaluation: evaluation, reporting))
                }
            }
            for model in try serving.models(interruption) {
                let subject = Subject(name: model.name, digest: "served: \(model.name)")
                for set in sets {
                    let evaluation = try evaluate(subject, set, options, log, interruption, ranks) { kept, hooks in
                        try Evaluation(set.problems, served: model, options: options, kept: kept, hooks: hooks)
                    }
                    results.append(
                        EvaluatedModel(checkpoint: model.name, data: set.name, evaluation: evaluation, reporting))
                }
            }
        }
        let report = EvaluationReport(results: results, options: options, reporting)
        if reporting.json { print(json: report.json) } else { print(report.rendered, terminator: "") }

        let shortfalls = report.shortfalls(
            thinkAccuracy: reporting.requireThinkAccuracy, modeShare: reporting.requireModeShare)
        guard shortfalls.isEmpty else {
            Terminal.writeError("not met: " + shortfalls.joined(separator: "; "))
            throw ExitCode(1)
        }
    }

    /// The largest number of tokens of an answer, the same for all models.
    private func newTokens(_ sets: [ProblemSet], _ options: Evaluation.Options) throws -> Int {
        let prompts = try inputs.map { path in
            let file = try models.open(path)
            let encoder = try PromptEncoder(file)
            let limit = LengthLimit(try ModelConfiguration(json: file.metadata.config))
            let longest = try FileError.naming(path) {
                try sets.flatMap { try Evaluation.prompts(for: $0.problems, encoder: encoder, options: options) }
                    .reduce(0) { max($0, $1.count) }
            }
            return (path, limit, longest)
        }
        return try asking.lengths.newTokens(asking.maxNewTokens, default: 1024, after: prompts)
    }

    private struct LoadedModel {
        let path: String
        let digest: String
        let encoder: PromptEncoder
        let weights: Model
    }

    /// The name of a model in reports, and what tells its answers from those of others.
    private struct Subject {
        let name: String
        let digest: String
    }

    private func evaluate(
        _ model: Subject, _ set: ProblemSet, _ options: Evaluation.Options, _ log: AnswerLog?,
        _ interruption: Interruption, _ ranks: RankGroup,
        _ body: (KeptAnswers, EvaluationHooks) throws -> Evaluation
    ) throws -> Evaluation {
        let subject = AnswerLog.Subject(checkpoint: model.name, weightsDigest: model.digest, data: set.name)
        let kept = try ranks.fromRoot { try log?.kept(of: subject, to: set.problems) ?? KeptAnswers() }
        if !kept.answers.isEmpty {
            Terminal.writeError(
                "\(model.name), \(set.name): resuming after \(Format.counted(kept.answers.count, "stored answer"))")
        }
        let title = asking.data.count > 1 ? "\(model.name), \(set.name)" : model.name
        let bar = ProgressBar(
            title, total: set.problems.count * options.conditions.count * options.samplesPerProblem,
            unit: .count("answers"), before: kept.answers.count)
        defer { bar.finish() }
        var hooks = EvaluationHooks()
        hooks.progress = { done, _ in bar.update(done) }
        hooks.shouldStop = { interruption.isRequested }
        hooks.keep = { answers, facts in try log?.append(answers, of: subject, to: set.problems, facts) }
        do {
            return try body(kept, hooks)
        } catch {
            // An error of a server names it.
            let named = error is ServerError ? error : FileError(description: "\(model.name): \(error)")
            guard let signal = interruption.signal else { throw named }
            bar.finish()
            Terminal.writeError(
                "\(named)"
                    + (log.map { "; they are stored in \($0.path), and the same command resumes from them" }
                        ?? "; they are lost, because --answers FILE was not given"))
            throw StoppedBySignal(signal: signal)
        }
    }
}
