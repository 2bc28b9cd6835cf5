import ArgumentParser
import Foundation
import TrainLoop
import Transformer

/// How the mode of an answer is chosen; `all` stands for the other three.
enum EvaluationMode: String, CaseIterable, ExpressibleByArgument {
    case auto, think, short, all
}

/// The value of `--threshold`, which is optional.
enum ThresholdChoice: ExpressibleByArgument, CustomStringConvertible {
    case sweep
    case fixed(Double)

    init?(argument: String) {
        if argument == "sweep" {
            self = .sweep
        } else {
            guard let value = Double(argument) else { return nil }
            self = .fixed(value)
        }
    }

    var description: String {
        switch self {
        case .sweep: "sweep"
        case .fixed(let value): String(value)
        }
    }
}

extension EvaluationPrompt {
    static func parsed(_ text: String) throws -> Self {
        guard let prompt = Self(text) else {
            throw ValidationError("give method, plain, or a text with {problem} as placeholder")
        }
        return prompt
    }
}

/// The problems of one file.
struct ProblemSet {
    let name: String
    let problems: [Problem]
}

/// Problems, modes and sampling.
struct EvaluationArguments: ParsableArguments {
    @Option(
        help: "Problems with answers, as GSM8K, MATH, AIME and others have them (docs/data.md). Repeatable.",
        completion: .file(extensions: ["jsonl", "json", "parquet", "csv"]))
    var data: [String]

    @OptionGroup var reading: DataArguments

    @Option(help: "The mode: auto (the model chooses), think, short, or all three. Repeatable.")
    var mode: [EvaluationMode] = [.auto]

    @Option(help: "Number of answers per problem and mode.")
    var samples = 1

    @Option(
        help: ArgumentHelp(
            "The prompt: method (Thinkless's instruction, then the problem), plain, or a text with {problem} as "
                + "placeholder. Default: method; plain with --answer bare.",
            valueName: "prompt"),
        transform: EvaluationPrompt.parsed)
    var prompt: EvaluationPrompt?

    @Option(help: "Sampling temperature; 0 takes the most likely token.")
    var temperature = 0.6

    @Option(help: "Sample from the smallest set of tokens with this total probability.")
    var topP = 0.95

    @Option(
        help: """
            Maximum length of an answer in tokens; longer ones count as wrong. Default: 1024, and at most what the \
            models' positions leave.
            """)
    var maxNewTokens: Int?

    @OptionGroup var lengths: LengthArguments

    @Option(help: ArgumentHelp("End thinking after this many tokens of a response.", valueName: "tokens"))
    var budget: Int?

    @Option(help: "Answer rule: any (box, ####, \"answer is\", last number), boxed, bare (the whole text).")
    var answer = AnswerRule.any

    @Option(help: "Precision of the weights: fp32, or bf16 for half the memory.")
    var weights = WeightPrecision.fp32

    @Option(
        help: """
            Factors of matrix products: fp32; bf16, rounded, which needs AVX512-BF16 and is faster on AMD's \
            processors; auto, the faster of the two here.
            """)
    var products = ProductPrecision.fp32

    @OptionGroup var cache: CacheArguments

    @Option(help: "Evaluate only this many problems, the first ones.")
    var limit: Int?

    @Option(help: "Seed of the sampling.")
    var seed: UInt64 = 0

    func validate() throws {
        guard (1...4096).contains(samples), (1...1_000_000).contains(maxNewTokens ?? 1), limit ?? 1 >= 1 else {
            throw ValidationError("--samples, --max-new-tokens and --limit must be at least 1")
        }
        guard products.isAvailable else { throw ValidationError("--products \(ProductPrecision.requirement)") }
        guard temperature >= 0, temperature.isFinite, topP > 0, topP <= 1 else {
            throw ValidationError("--temperature must not be negative, --top-p must be above 0 and at most 1")
        }
        guard Set(data).count == data.count else { throw ValidationError("--data names a file twice") }
        guard (1...1_000_000).contains(budget ?? 1) else { throw ValidationError("--budget must be at least 1") }
    }

    /// The problems of each file, named by the file name, or by the path if two names are equal.
    func problemSets() throws -> [ProblemSet] {
        let stems = data.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }
        return try zip(data, stems).map { path, stem in
            let problems = try ProblemFile.read(path: path, map: reading.map, requiresAnswer: true)
            try problems.checkAnswers(of: path)
            return ProblemSet(
                name: stems.count { $0 == stem } > 1 ? path : stem,
                problems: limit.map { Array(problems.prefix($0)) } ?? problems)
        }
    }

    func options(_ reporting: EvaluationReportArguments) throws -> Evaluation.Options {
        var wanted = Set(mode)
        if reporting.requireThinkAccuracy != nil { wanted.insert(.think) }
        if reporting.requireModeShare != nil { wanted.insert(.auto) }
        if case .sweep = reporting.threshold { wanted.formUnion([.think, .short]) }
        if wanted.contains(.all) { wanted.formUnion([.auto, .think, .short]) }
        var options = Evaluation.Options()
        options.conditions = []
        if wanted.contains(.auto) { options.conditions.append(.auto) }
        if wanted.contains(.think) { options.conditions.append(.think) }
        if wanted.contains(.short) { options.conditions.append(.short) }
        if case .fixed(let threshold) = reporting.threshold { options.conditions.append(.threshold(threshold)) }
        options.samplesPerProblem = samples
        options.prompt = prompt ?? (answer == .bare ? .plain : .method)
        options.temperature = temperature
        options.topP = topP
        options.thinkingBudget = budget
        options.weightPrecision = weights
        options.products = products
        options.cachePrecision = cache.cache
        options.rule = answer
        options.seed = seed
        return options
    }
}

/// The content and format of the report, and the storage of answers.
struct EvaluationReportArguments: ParsableArguments {
    @Option(
        defaultAsFlag: ThresholdChoice.sweep,
        help: ArgumentHelp(
            "Without a value: the curve of accuracy against tokens over all thresholds of P(<think>). With a value: "
                + "answers that use thinking if P(<think>) is at least this.",
            valueName: "p"))
    var threshold: ThresholdChoice?

    @Option(help: "By how much thinking lowers the reward of a right answer, for the comparison of modes.")
    var gamma = 0.5

    @Option(help: "By how much the reward of thinking must be higher to make it the better mode.")
    var margin = 0.0

    @Option(
        help: ArgumentHelp(
            "Store every answer in this file, JSON lines, and resume from the answers in it.", valueName: "file"))
    var answers: String?

    @Flag(help: "Replace the --answers file instead of resuming from it.")
    var force = false

    @Option(help: "Fail unless forced thinking gives right answers in at least this share.")
    var requireThinkAccuracy: Double?

    @Option(help: "Fail unless the model chooses each mode in at least this share of free answers.")
    var requireModeShare: Double?

    @Flag(help: "Print tables in Markdown, in the layout of the Thinkless paper.")
    var markdown = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard !(markdown && json) else { throw ValidationError("--markdown and --json exclude each other") }
        if case .fixed(let value) = threshold, !(0...1).contains(value) {
            throw ValidationError("--threshold must be between 0 and 1")
        }
        guard (0...2).contains(gamma), margin >= 0, margin.isFinite else {
            throw ValidationError("--gamma must be between 0 and 2, --margin must not be negative")
        }
    }

    func answerLog(_ options: Evaluation.Options) throws -> AnswerLog? {
        try answers.map { try AnswerLog(path: $0, options: options, replacing: force) }
    }
}
