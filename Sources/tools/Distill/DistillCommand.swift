import ArgumentParser
import CheckpointIO
import Foundation
import HTTP
import OrderedJSON
import TrainLoop

struct DistillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Make pairs for the warm-up from the answers of a thinking and a direct teacher.",
        discussion: """
            Examples:
              ckpt distill problems.jsonl -o new.jsonl --think-teacher r1.jsonl \\
                --short-teacher base.h5 --limit 100
              ckpt distill openr1.jsonl -o new.jsonl --think-teacher openr1.jsonl \\
                --keep correct-think

            A teacher is a server with OpenAI's chat completions API (vLLM, SGLang, llama-server; give \
            http://127.0.0.1:8000/v1), a checkpoint (its mode is forced if it has control tokens), or a file of \
            recorded answers (<think>…</think> texts, OpenR1 and OpenThoughts rows, dialogues, pairs). Without \
            --short-teacher, the short answer is the text after </think>.

            Every answer is stored in OUTPUT.answers as soon as it arrives; after a kill, --resume goes on and asks \
            nothing twice. --keep, --truncated, --untagged and --answer-form may change between runs, because they \
            are applied to all stored answers again. Failed requests (no connection, time-out, 429, 5xx) are retried \
            after a delay that doubles each time, or that the server asks for. Proxies come from the environment \
            (http_proxy, HTTPS_PROXY, ALL_PROXY, NO_PROXY) and are not used for loopback.

            A box is added to an answer without one only if its result is certain and not known to be wrong. Without \
            any pair, the exit status is 1.
            """)

    @Argument(help: "Problems, as GSM8K, MATH, OpenR1, verl and others have them (docs/data.md).")
    var problems: String

    @OptionGroup var reading: DataArguments

    @OptionGroup(title: "Output") var output: DistillOutputArguments
    @OptionGroup(title: "Long answers") var think: ThinkTeacherArguments
    @OptionGroup(title: "Short answers") var short: ShortTeacherArguments
    @OptionGroup(title: "Selection") var selection: SelectionArguments
    @OptionGroup(title: "Requests") var asking: AskingArguments
    @OptionGroup(title: "Checkpoints as teachers") var cache: CacheArguments
    @OptionGroup(title: "Checkpoints as teachers") var lengths: LengthArguments

    /// The teachers; on other ranks than 0 only checkpoints.
    private func teachers(_ shared: SharedSampling) async throws -> (think: (any Teacher)?, short: (any Teacher)?) {
        var opening = asking.opening
        opening.map = reading.map
        opening.generator = cache.generator
        opening.allowsLong = lengths.allowLong
        opening.shared = shared
        let thinkTeacher = try await opening.open(think.request(seed: asking.seed))
        guard let request = short.request(seed: asking.seed) else { return (thinkTeacher, nil) }
        return (thinkTeacher, try await opening.open(request))
    }

    /// Samples for rank 0.
    private func serve(_ shared: SharedSampling) async throws {
        let teachers = try await teachers(shared)
        try withExtendedLifetime(teachers) { try shared.serve() }
    }

    func validate() throws {
        try think.request(seed: 0).check()
        try short.request(seed: 0)?.check()
    }

    func run() async throws {
        let shared = SharedSampling(try RankProcess.start())
        if !shared.ranks.isRoot { return try await serve(shared) }
        let start: Distillation.Output.Start = output.resume ? .resuming : output.force ? .replacing : .new
        let destination = try Distillation.Output(path: output.output, start: start)
        var problems = try ProblemFile.read(path: problems, map: reading.map)
        if let limit = asking.limit { problems = Array(problems.prefix(limit)) }
        if selection.keep != .all, !problems.contains(where: { $0.answer != nil }) {
            throw ValidationError("--keep \(selection.keep.rawValue) needs problems with answers, but none has one")
        }
        let digest = try DataFile.sha256(path: self.problems)
        let teachers = try await teachers(shared)
        guard let thinkTeacher = teachers.think else { return }
        let shortTeacher = teachers.short

        let distillation = Distillation(
            problems, think: thinkTeacher, short: shortTeacher, assembly: selection.assembly,
            concurrency: asking.concurrency)
        let progress = AskingProgress([thinkTeacher, shortTeacher].compactMap { $0 })
        defer { progress.finish() }
        let report = try await Interruption.watching(
            notice: "cancelling the requests in progress; press again to stop at once"
        ) { interruption in
            try await distillation.run(
                to: destination, problemsDigest: digest, progress: { done, total in progress.update(done, of: total) },
                isStopping: { interruption.isRequested })
        }
        progress.finish()
        try shared.end()

        let retries = [thinkTeacher, shortTeacher].reduce(0) { $0 + (($1 as? ServerTeacher)?.retryCount ?? 0) }
        let text = DistillText(report: report, output: output.output, retries: retries)
        if output.json { print(json: text.json) } else { print(text.text, terminator: "") }
        if report.wasStopped, report.open > 0 {
            Terminal.writeError("stopped; to go on, run the same command with --resume")
        } else if report.unanswered > 0 {
            throw UnansweredProblems(count: report.unanswered, reason: report.unansweredReason ?? "")
        } else if report.kept == 0 {
            Terminal.writeError("ckpt: \(text.nothingKept)")
            throw ExitCode(1)
        }
    }
}

/// The output of `ckpt distill`.
struct DistillOutputArguments: ParsableArguments {
    @Option(name: [.short, .customLong("output")], help: "The file for the pairs, JSON lines.")
    var output: String

    @Flag(help: "Resume an earlier run.")
    var resume = false

    @Flag(help: "Start over and replace existing files.")
    var force = false

    @Flag(help: "Print the report as JSON.")
    var json = false

    func validate() throws {
        guard !(resume && force) else { throw ValidationError("--resume and --force exclude each other") }
    }
}

/// How pairs are selected and formed.
struct SelectionArguments: ParsableArguments {
    @Option(help: "Pairs to keep: all, or as graded correct (both responses), correct-think, correct-short.")
    var keep = PairAssembly.Keep.all

    @Option(help: "Form of the results: boxed (\\boxed{}), bare (the result only), as-is.")
    var answerForm = PairAssembly.AnswerForm.boxed

    @Option(help: "Answers truncated at the maximum length: drop, or clip (use the truncated text).")
    var truncated = PairAssembly.TruncatedPolicy.drop

    @Option(help: "Long answers without <think>: drop, or working (the whole text is the thinking).")
    var untagged = PairAssembly.UntaggedPolicy.drop

    var assembly: PairAssembly {
        var assembly = PairAssembly()
        (assembly.keep, assembly.form, assembly.truncated, assembly.untagged) = (keep, answerForm, truncated, untagged)
        return assembly
    }
}

/// The requests to all teachers.
struct AskingArguments: ParsableArguments {
    @Option(help: "Number of problems in progress at once.")
    var concurrency = 16

    @OptionGroup var requests: RequestArguments

    @Option(help: "Use only this many problems, the first ones.")
    var limit: Int?

    @Option(help: "Seed of the sampling.")
    var seed: UInt64 = 0

    var opening: TeacherOpening {
        TeacherOpening(retry: requests.retry, limits: requests.limits, settings: requests.settings)
    }

    func validate() throws {
        guard (1...4096).contains(concurrency) else {
            throw ValidationError("--concurrency must be between 1 and 4096")
        }
        guard limit ?? 1 >= 1 else { throw ValidationError("--limit must be at least 1") }
    }
}

/// Some problems have no answer because all requests failed.
struct UnansweredProblems: Error, CustomStringConvertible {
    let count: Int
    let reason: String

    var description: String {
        "\(Format.counted(count, "problem")) got no answer (\(reason)); run again with --resume to retry"
    }
}

extension PairAssembly.Keep: ExpressibleByArgument {}
extension PairAssembly.AnswerForm: ExpressibleByArgument {}
extension PairAssembly.TruncatedPolicy: ExpressibleByArgument {}
extension PairAssembly.UntaggedPolicy: ExpressibleByArgument {}
