import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

struct CheckDataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-data",
        abstract: "Read pairs or problems as training would, and say what is in them.",
        discussion: """
            Examples:
              ckpt check-data pairs.jsonl
              ckpt check-data pairs.jsonl --model tokens.h5 --max-length 1024

            Prints counts, lengths and levels, and what to look at before training: pairs that miss a half or are too \
            long, answers that do not grade as right, problems that occur twice. With --model, lengths are tokens of \
            its tokenizer and the first pair is shown as it is trained, with its ids: the prompt faint, what the loss \
            is on green.
            """)

    @Argument(help: "Pairs or problems, JSON lines.", completion: .file(extensions: ["jsonl", "json"]))
    var input: String

    @Option(help: "A checkpoint with control tokens, whose tokenizer and chat template are used.")
    var model: String?

    @Option(help: "Tokens (bytes without --model) of a prompt with its response at most.")
    var maxLength: Int?

    @Option(help: "Where the answer stands: boxed, bare (the whole text), any (box, ####, last number).")
    var answer = AnswerRule.boxed

    @Flag(help: "Print the report as JSON.")
    var json = false

    func run() throws {
        let encoder = try model.map { try PromptEncoder(CheckpointFile(path: $0)) }
        let length = encoder.map { encoder in
            { (text: String) -> Int in encoder.tokenizer.encode(text, parsingAddedTokens: false).count }
        }
        var example: Pair?
        let check: DataCheck
        if try DataCheck.holdsPairs(path: input) {
            let pairs = try PairFile.read(path: input)
            example = pairs.first(where: \.isComplete) ?? pairs.first
            check = DataCheck(pairs: pairs, rule: answer, length: length, maximumLength: maxLength)
        } else {
            let problems = try ProblemFile.read(path: input)
            check = DataCheck(problems: problems, length: length, maximumLength: maxLength)
        }
        if json {
            print(check.json.serialized(indent: 2))
            return
        }
        print("\(Format.grouped(check.count)) \(check.isPairs ? "pairs" : "problems")")
        for (name, spread) in check.lengths {
            print(
                "  \(Format.column(name, 8)) median \(Format.grouped(spread.median)), largest "
                    + "\(Format.grouped(spread.largest)) \(encoder == nil ? "bytes" : "tokens")")
        }
        if !check.levels.isEmpty {
            print("  levels   " + check.levels.map { "\($0.name) \(Format.grouped($0.count))" }.joined(separator: ", "))
        }
        if check.findings.isEmpty { print("nothing to look at") }
        for finding in check.findings {
            let share = Format.percent(Double(finding.count) / Double(max(1, check.count)), decimals: 1)
            print(Style.yellow("\(Format.grouped(finding.count)) (\(share)) \(finding.text), first \(finding.example)"))
        }
        if let encoder, let example { try show(example, encoder) }
    }

    /// The halves of a pair as they are trained: text, then ids.
    private func show(_ pair: Pair, _ encoder: PromptEncoder) throws {
        let prompt = try encoder.prompt(for: pair.problem)
        let responses = [pair.think.map(encoder.response(_:)), pair.short.map(encoder.response(short:))]
        for response in responses.compactMap({ $0 }) {
            print(
                "\n" + Style.faint(encoder.tokenizer.decode(prompt)) + Style.green(encoder.tokenizer.decode(response)))
            print(
                Style.faint(prompt.map(String.init).joined(separator: " ")) + " "
                    + Style.green(response.map(String.init).joined(separator: " ")))
        }
    }
}
