import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop
import Transformer

/// How an answer begins: as the model chooses, or with a forced mode.
enum ModeChoice: String, CaseIterable, ExpressibleByArgument {
    case auto
    case think
    case short

    var forced: Mode? { Mode(rawValue: rawValue) }
}

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Ask a model a question and see which mode it chooses.",
        discussion: """
            Examples:
              ckpt generate rl/step-000005.h5 --prompt "What is 17+25?"
              ckpt generate rl/step-000005.h5 --prompt "What is 17+25?" \\
                --mode short --temperature 0

            The answer streams to stdout and begins with its control token. The probabilities of both modes and the \
            number of tokens go to stderr.
            """)

    @Argument(help: ArgumentHelp("The \(ModelArguments.formats) to ask.", valueName: "model"), completion: .file())
    var input: String

    @Option(help: "The user's message.")
    var prompt: String

    @Option(help: "The mode: auto (the model chooses), think or short.")
    var mode = ModeChoice.auto

    @Option(help: "The most tokens to generate. Default: 512, and at most what the model's positions leave.")
    var maxNewTokens: Int?

    @Option(help: "Sampling temperature; 0 always takes the likeliest token.")
    var temperature = 0.6

    @Option(help: "Sample from the likeliest tokens that together have this probability.")
    var topP = 0.95

    @Option(help: "Sample from this many of the likeliest tokens; 0: from all.")
    var topK = 0

    @Option(
        help: ArgumentHelp(
            "End thinking after this many tokens of a response: </think> is inserted and the answer follows.",
            valueName: "tokens"))
    var budget: Int?

    @Option(help: "Precision of the weights in memory: fp32, or bf16 for half the memory.")
    var weights = WeightPrecision.fp32

    @Option(
        help: """
            Factors of matrix products: fp32; bf16, rounded, which needs AVX512-BF16 and is faster on AMD's \
            processors; auto, the faster of the two here.
            """)
    var products = ProductPrecision.fp32

    @OptionGroup var models: ModelArguments
    @OptionGroup var cache: CacheArguments
    @OptionGroup var lengths: LengthArguments

    @Option(help: "The number of answers to sample.")
    var samples = 1

    @Option(help: "Seed of the samples.")
    var seed: UInt64 = 0

    @Flag(help: "Print one JSON object per answer instead of text.")
    var json = false

    func validate() throws {
        guard (1...1_000_000).contains(maxNewTokens ?? 1) else {
            throw ValidationError("--max-new-tokens must be between 1 and 1000000")
        }
        guard products.isAvailable else { throw ValidationError("--products \(ProductPrecision.requirement)") }
        guard temperature >= 0, temperature.isFinite else {
            throw ValidationError("--temperature must be finite and not negative")
        }
        guard topP > 0, topP <= 1 else { throw ValidationError("--top-p must be above 0 and at most 1") }
        guard topK >= 0 else { throw ValidationError("--top-k must not be negative") }
        guard (1...4096).contains(samples) else { throw ValidationError("--samples must be between 1 and 4096") }
        guard (1...1_000_000).contains(budget ?? 1) else {
            throw ValidationError("--budget must be between 1 and 1000000")
        }
    }

    func run() throws {
        try models.check([input])
        let file = try models.open(input)
        let reader = try FileError.naming(input) { try PromptReader(file.metadata) }
        if mode != .auto || budget != nil, reader.control == nil {
            try FileError.naming(input) { throw ControlTokenError.noControlTokens }
        }
        let ids = try FileError.naming(input) { try reader.prompt(for: prompt) }
        let limit = LengthLimit(try ModelConfiguration(json: file.metadata.config))
        let newTokens = try lengths.newTokens(maxNewTokens, default: 512, after: [(input, limit, ids.count)])
        try MemoryFit.check(weightsOf: file, weights)
        var generator = cache.generator(try weights.model(file, products: products))
        generator.favorsFewRows = true
        let forced = reader.control.flatMap { control in mode.forced.map { control[$0] } }
        let request = GenerationRequest(
            prompt: ids, promptKey: 0, sampleCount: samples, forcedFirstToken: forced)

        let streams = samples == 1 && !json
        var stream = reader.tokenizer.streamingDecoder(skippingSpecialTokens: false)
        let start = ContinuousClock.now
        let bar = ProgressBar("sampling", total: samples * newTokens, unit: .atMost("tokens"))
        var sampled = 0
        let completions = generator.generate(
            [request], options(for: reader, newTokens),
            onToken: { _, _, token in
                if streams, !reader.stopTokens.contains(token) {
                    print(unchanged: stream.append(token), terminator: "")
                    StandardStreams.flush()
                } else if !streams {
                    sampled += 1
                    bar.update(sampled)
                }
                return true
            })[0]
        bar.finish()
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))

        let preference = reader.control.map { control in
            let probabilities = generator.firstTokenProbabilities([ids], of: [control.think, control.short])[0]
            return (think: probabilities[0], short: probabilities[1])
        }
        for completion in completions {
            let text = reader.text(of: completion.tokens)
            if json {
                let mode = completion.tokens.first.flatMap { reader.control?.mode(of: $0) }
                var row: [(String, JSON)] = [
                    ("prompt", .string(prompt)), ("completion", .string(text)),
                    ("mode", mode.map { .string($0.rawValue) } ?? .null),
                    ("tokens", .integer(completion.tokens.count)), ("truncated", .bool(completion.finish == .length)),
                ]
                if let preference {
                    row += [("p_think", .double(preference.think)), ("p_short", .double(preference.short))]
                }
                print(json: .object(JSONObject(row)), indent: nil)
            } else if streams {
                print()
            } else {
                print(unchanged: text + "\n")
            }
        }
        let tokens = completions.reduce(0) { $0 + $1.tokens.count }
        var summary = "\(Format.counted(tokens, "token")), \(Format.number(Double(tokens) / seconds)) tokens/s"
        if let (think, short) = preference {
            summary = "P(<think>) \(Format.percent(think)), P(<short>) \(Format.percent(short)); " + summary
        }
        if completions.contains(where: { $0.inserted != nil }) { summary += "; thinking ended by --budget" }
        if completions.contains(where: { $0.finish == .length }) { summary += "; cut off at --max-new-tokens" }
        StandardStreams.flush()
        Terminal.writeError(summary)
    }

    private func options(for reader: PromptReader, _ newTokens: Int) -> SamplingOptions {
        let thinkingBudget = reader.control.flatMap { control in
            budget.map {
                ThinkingBudget(
                    startToken: control.think, endToken: control.thinkEnd, maximumTokens: $0,
                    inserted: [control.thinkEnd])
            }
        }
        return SamplingOptions(
            temperature: Float(temperature), topP: Float(topP), topK: topK, maximumNewTokens: newTokens,
            stopTokens: reader.stopTokens, thinkingBudget: thinkingBudget, seed: seed)
    }
}
