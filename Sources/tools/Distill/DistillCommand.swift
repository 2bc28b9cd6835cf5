import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

struct DistillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Make pairs for the warm-up by asking a teacher that thinks and one that answers at once.",
        discussion: """
            Examples:
              ckpt distill problems.jsonl -o new.jsonl --think-teacher r1.jsonl \\
                --short-teacher base.h5 --limit 100
              ckpt distill openr1.jsonl -o new.jsonl --think-teacher openr1.jsonl \\
                --keep correct-think

            A teacher is a server that speaks OpenAI's chat completions (vLLM, SGLang, llama-server; give \
            http://127.0.0.1:8000/v1), a checkpoint (its mode is forced where it has control tokens), or a file of recorded answers (<think>…</think> texts, \
            OpenR1 and OpenThoughts rows, dialogues, pairs). Without --short-teacher the short answer is what follows \
            </think>.

            Every answer goes to OUTPUT.answers as it comes; after a kill, --resume goes on and asks nothing twice. \
            --keep, --truncated, --untagged and --answer-form may change between runs: they are applied to all answers \
            anew. Requests that fail (no connection, time-out, 429, 5xx) are made again after a pause that doubles, or \
            for which the server asks.
            """)

    @Argument(help: "Problems, JSON lines (GSM8K, MATH, OpenR1 and verl rows are read as they are).")
    var problems: String

    @OptionGroup(title: "Output") var output: DistillOutputArguments
    @OptionGroup(title: "Long answers") var think: ThinkTeacherArguments
    @OptionGroup(title: "Short answers") var short: ShortTeacherArguments
    @OptionGroup(title: "What is kept") var selection: SelectionArguments
    @OptionGroup(title: "Asking") var asking: AskingArguments

    func validate() throws {
        try think.request(seed: 0).check()
        try short.request(seed: 0)?.check()
    }

    func run() async throws {
        let start: Distillation.Output.Start = output.resume ? .resuming : output.force ? .replacing : .new
        let destination = try Distillation.Output(path: output.output, start: start)
        var problems = try ProblemFile.read(path: problems)
        if let limit = asking.limit { problems = Array(problems.prefix(limit)) }
        if selection.keep != .all, !problems.contains(where: { $0.answer != nil }) {
            throw ValidationError("--keep \(selection.keep.rawValue) needs problems with answers, and none has one")
        }
        let digest = try FileDigest.sha256(path: self.problems)
        var opening = asking.opening
        let thinkTeacher = try await opening.open(think.request(seed: asking.seed))
        var shortTeacher: (any Teacher)?
        if let request = short.request(seed: asking.seed) { shortTeacher = try await opening.open(request) }

        let distillation = Distillation(
            problems, think: thinkTeacher, short: shortTeacher, assembly: selection.assembly,
            concurrency: asking.concurrency)
        let bar = LateProgressBar("asking", unit: .count("problems"))
        defer { bar.finish() }
        let report = try await Interruption.watching(
            notice: "cancelling the questions under way; once more to stop at once"
        ) { interruption in
            try await distillation.run(
                to: destination, start: start, problemsDigest: digest,
                progress: { done, total in bar.update(done, of: total) },
                isStopping: { interruption.isRequested })
        }
        bar.finish()

        let servers = [thinkTeacher, shortTeacher].compactMap { $0 as? ServerTeacher }
        let text = DistillText(report, output: output.output, servers: servers.map(\.statistics))
        print(output.json ? text.json.serialized(indent: 2) : text.text, terminator: output.json ? "\n" : "")
        if report.wasStopped, report.open > 0 {
            Terminal.writeError("stopped; go on with the same command and --resume")
        } else if report.unanswered > 0 {
            throw DistillFailure.unanswered(report.unanswered, report.unansweredReason ?? "")
        }
    }
}

/// Where the pairs go.
struct DistillOutputArguments: ParsableArguments {
    @Option(name: [.short, .customLong("output")], help: "Where the pairs go, JSON lines.")
    var output: String

    @Flag(help: "Go on with what an earlier run left.")
    var resume = false

    @Flag(help: "Begin anew, whatever is there.")
    var force = false

    @Flag(help: "Print the report as JSON.")
    var json = false

    func validate() throws {
        guard !(resume && force) else { throw ValidationError("--resume and --force exclude each other") }
    }
}

/// What becomes of answers.
struct SelectionArguments: ParsableArguments {
    @Option(help: "all, or by the grader: correct (both halves), correct-think, correct-short.")
    var keep = PairAssembly.Keep.all

    @Option(help: "What both halves end in: boxed (\\boxed{}), bare (the result alone), as-is.")
    var answerForm = PairAssembly.AnswerForm.boxed

    @Option(help: "What becomes of answers cut off at their length: drop, or clip (used as far as they go).")
    var truncated = PairAssembly.TruncatedPolicy.drop

    @Option(help: "What becomes of long answers without <think>: drop, or working (all of it is the thinking).")
    var untagged = PairAssembly.UntaggedPolicy.drop

    var assembly: PairAssembly {
        var assembly = PairAssembly()
        (assembly.keep, assembly.form, assembly.truncated, assembly.untagged) = (keep, answerForm, truncated, untagged)
        return assembly
    }
}

/// How teachers are asked, whoever they are.
struct AskingArguments: ParsableArguments {
    @Option(help: "Problems asked about at once.")
    var concurrency = 16

    @Option(help: "How often a failed request is made again.")
    var retries = 6

    @Option(help: "Seconds before the first retry; doubles with each, up to 60.")
    var retryDelay = 1.0

    @Option(help: "Seconds after which a request has failed.")
    var timeout = 600.0

    @Option(help: "Take the first problems only.")
    var limit: Int?

    @Option(help: "Seed of the samples.")
    var seed: UInt64 = 0

    var opening: TeacherOpening {
        var retry = RetryPolicy()
        (retry.retries, retry.firstDelay) = (retries, retryDelay)
        return TeacherOpening(retry: retry, timeout: timeout, connections: concurrency)
    }

    func validate() throws {
        guard (1...4096).contains(concurrency) else { throw ValidationError("--concurrency must lie in 1...4096") }
        guard (0...1000).contains(retries) else { throw ValidationError("--retries must lie in 0...1000") }
        guard retryDelay > 0, retryDelay <= 3600 else {
            throw ValidationError("--retry-delay must lie above 0 and at most at 3600")
        }
        guard timeout > 0, timeout <= 86400 else {
            throw ValidationError("--timeout must lie above 0 and at most at 86400")
        }
        guard limit ?? 1 >= 1 else { throw ValidationError("--limit must be at least 1") }
    }
}

enum DistillFailure: Error, CustomStringConvertible {
    case unanswered(Int, String)

    var description: String {
        switch self {
        case .unanswered(let count, let reason):
            "\(count) problems went without an answer (\(reason)); --resume asks them again"
        }
    }
}

extension PairAssembly.Keep: ExpressibleByArgument {}
extension PairAssembly.AnswerForm: ExpressibleByArgument {}
extension PairAssembly.TruncatedPolicy: ExpressibleByArgument {}
extension PairAssembly.UntaggedPolicy: ExpressibleByArgument {}
