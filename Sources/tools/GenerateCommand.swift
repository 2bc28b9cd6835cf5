import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop
import Transformer

/// Who chooses how an answer opens: the model, or the person who asks.
enum ModeChoice: String, CaseIterable, ExpressibleByArgument {
    case auto
    case think
    case short

    var forced: Mode? { Mode(rawValue: rawValue) }
}

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Ask a model, and see which mode it chose.",
        discussion: """
            Examples:
              ckpt generate rl/step-000005.h5 --prompt "What is 17+25?"
              ckpt generate rl/step-000005.h5 --prompt "What is 17+25?" \\
                --mode short --temperature 0

            The answer streams to stdout, opening with its control token; which mode it chose, with what \
            probability, and how many tokens it took go to stderr.
            """)

    @Argument(help: "The checkpoint to ask.", completion: .file(extensions: ["h5"]))
    var input: String

    @Option(help: "The user's message.")
    var prompt: String

    @Option(help: "Who chooses the mode: auto (the model), think or short.")
    var mode = ModeChoice.auto

    @Option(help: "Tokens at most.")
    var maxNewTokens = 512

    @Option(help: "Sampling temperature; 0 takes the likeliest token.")
    var temperature = 0.6

    @Option(help: "Sample from the likeliest tokens that hold this much probability.")
    var topP = 0.95

    @Option(help: "Sample from this many likeliest tokens; 0: all.")
    var topK = 0

    @Option(
        help: ArgumentHelp(
            "End thinking after this many tokens of a response: </think> is put in and the answer follows.",
            valueName: "tokens"))
    var budget: Int?

    @Option(help: "How weights are held: fp32, or bf16 for half the memory.")
    var weights = WeightPrecision.fp32

    @Option(help: "What matrix products multiply: fp32, or numbers rounded to bf16, faster with AVX512-BF16.")
    var products = ProductPrecision.fp32

    @Option(help: "Answers to sample.")
    var samples = 1

    @Option(help: "Seed of the samples.")
    var seed: UInt64 = 0

    @Flag(help: "Print one JSON object a sample instead of text.")
    var json = false

    func validate() throws {
        guard (1...1_000_000).contains(maxNewTokens) else {
            throw ValidationError("--max-new-tokens must be at least 1")
        }
        guard products.isAvailable else { throw ValidationError("--products \(ProductPrecision.requirement)") }
        guard temperature >= 0, temperature.isFinite else {
            throw ValidationError("--temperature must not be negative")
        }
        guard topP > 0, topP <= 1 else { throw ValidationError("--top-p must lie above 0 and at most at 1") }
        guard topK >= 0, (1...4096).contains(samples) else {
            throw ValidationError("--top-k or --samples is out of range")
        }
        guard (1...1_000_000).contains(budget ?? 1) else { throw ValidationError("--budget must be at least 1") }
    }

    func run() throws {
        let file = try CheckpointFile(path: input)
        let reader = try FileError.naming(input) { try PromptReader(file.metadata) }
        if mode != .auto, reader.control == nil {
            try FileError.naming(input) { throw ControlTokenError.noControlTokens }
        }
        if budget != nil, reader.control == nil {
            try FileError.naming(input) { throw ControlTokenError.noControlTokens }
        }
        let ids = try FileError.naming(input) { try reader.prompt(for: prompt) }
        let generator = try generator(file)
        let options = SamplingOptions(
            temperature: Float(temperature), topP: Float(topP), topK: topK, maximumNewTokens: maxNewTokens,
            stopTokens: reader.stopTokens,
            thinkingBudget: reader.control.flatMap { control in
                budget.map {
                    ThinkingBudget(
                        startToken: control.think, endToken: control.thinkEnd, maximumTokens: $0,
                        inserted: [control.thinkEnd])
                }
            }, seed: seed)
        let forced = reader.control.flatMap { control in mode.forced.map { control[$0] } }
        let request = GenerationRequest(
            prompt: ids, promptKey: 0, sampleCount: samples,
            forcedFirstToken: forced)

        let streams = samples == 1 && !json
        var stream = reader.tokenizer.streamingDecoder(skippingSpecialTokens: false)
        let start = ContinuousClock.now
        let completions = generator.generate(
            [request], options,
            onToken: { _, _, token in
                if streams, !reader.stopTokens.contains(token) {
                    FileHandle.standardOutput.write(Data(stream.append(token).utf8))
                }
                return true
            })[0]
        let seconds = Double((ContinuousClock.now - start) / .seconds(1))

        let chosen = reader.control.map { control in
            generator.firstTokenProbabilities([ids], of: [control.think, control.short])[0]
        }
        for completion in completions {
            let text = reader.text(of: completion.tokens)
            let mode = completion.tokens.first.flatMap { reader.control?.mode(of: $0) }
            if json {
                var row: [(String, JSON)] = [
                    ("prompt", .string(prompt)), ("completion", .string(text)),
                    ("mode", mode.map { .string($0.rawValue) } ?? .null),
                    ("tokens", .integer(completion.tokens.count)), ("truncated", .bool(completion.finish == .length)),
                ]
                if let chosen { row += [("p_think", .double(chosen[0])), ("p_short", .double(chosen[1]))] }
                print(JSON.object(JSONObject(row)).serialized())
            } else if streams {
                FileHandle.standardOutput.write(Data("\n".utf8))
            } else {
                print(text + "\n")
            }
        }
        let tokens = completions.reduce(0) { $0 + $1.tokens.count }
        var summary = "\(tokens) tokens, \(Format.number(Double(tokens) / seconds)) tokens/s"
        if let chosen {
            summary = "P(<think>) \(Format.percent(chosen[0])), P(<short>) \(Format.percent(chosen[1])); " + summary
        }
        if completions.contains(where: { $0.inserted != nil }) { summary += "; thinking ended by --budget" }
        if completions.contains(where: { $0.finish == .length }) { summary += "; cut off at --max-new-tokens" }
        Terminal.writeError(summary)
    }

    private func generator(_ file: CheckpointFile) throws -> Generator {
        try MemoryFit.check(weightsOf: file, weights)
        return Generator(try weights.model(file, products: products))
    }
}
