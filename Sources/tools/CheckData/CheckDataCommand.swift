import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

struct CheckDataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-data",
        abstract: "Check pairs or problems before training.",
        discussion: """
            Examples:
              ckpt check-data pairs.jsonl
              ckpt check-data pairs.jsonl --model tokens.h5 --max-length 1024

            Prints counts, lengths and levels, and the problems of the data: pairs without one of their responses or \
            over the maximum length, wrong answers, duplicates. With --model, lengths are in tokens of its tokenizer, \
            chat template included, and one pair is shown as training sees it, first as text, then as ids. The prompt \
            is faint, and the part that the loss covers is green; without colour, the latter is between » and «.
            """)

    @Argument(help: "Pairs or problems, JSON lines.", completion: .file(extensions: ["jsonl", "json"]))
    var input: String

    @Option(help: "A checkpoint with control tokens, for its tokenizer and chat template.")
    var model: String?

    @Option(help: "Maximum length of prompt and response in tokens. Default with --model: 2048, as in train-sft.")
    var maxLength: Int?

    @Option(help: "Show the pair with this id. Default: the first with both responses.")
    var show: String?

    @Option(help: "Answer rule: boxed, bare (the whole text), any (box, ####, \"answer is\", last number).")
    var answer = AnswerRule.boxed

    @Flag(help: "Print the report as JSON.")
    var json = false

    func validate() throws {
        guard maxLength ?? 1 >= 1 else { throw ValidationError("--max-length must be at least 1") }
        guard model != nil || (maxLength == nil && show == nil) else {
            throw ValidationError("--max-length and --show need --model, because they count and show its tokens")
        }
    }

    func run() throws {
        let encoder = try model.map { try PromptEncoder(CheckpointFile(path: $0)) }
        let limit = encoder.map { _ in maxLength ?? SFTDataOptions().maximumLength }
        var example: Pair?
        let check: DataCheck
        if try DataCheck.holdsPairs(path: input) {
            let pairs = try PairFile.read(path: input)
            example = try chosen(pairs)
            check = DataCheck(pairs: pairs, rule: answer, encoder: encoder, maximumLength: limit)
        } else {
            if let show { throw ValidationError("--show \(show): \(input) has problems, not pairs") }
            let problems = try ProblemFile.read(path: input)
            check = DataCheck(problems: problems, encoder: encoder, maximumLength: limit)
        }
        if json {
            print(json: check.json)
            return
        }
        print(Format.counted(check.count, check.isPairs ? "pair" : "problem"))
        for (name, spread) in check.lengths {
            print(
                "  \(Format.column(name, 8)) median \(Format.grouped(spread.median)), largest "
                    + "\(Format.grouped(spread.largest)) \(encoder == nil ? "bytes" : "tokens")")
        }
        if !check.levels.isEmpty {
            let shown = check.levels.prefix(Self.shownLevels)
            let levels = shown.map { "\($0.name.onOneLine(limit: 80)) \(Format.grouped($0.count))" }
            let rest = check.levels.count - shown.count
            print(
                "  levels   " + levels.joined(separator: ", ")
                    + (rest > 0 ? " and \(Format.grouped(rest)) more (all with --json)" : ""))
        }
        if check.findings.isEmpty { print("no problems found") }
        for finding in check.findings {
            let share = Format.percent(Double(finding.count) / Double(max(1, check.count)), decimals: 1)
            let text = finding.text == DataCheck.overlong ? "\(finding.text) of \(limit ?? 0)" : finding.text
            let example = finding.example.onOneLine(limit: 80)
            print(Style.yellow("\(Format.grouped(finding.count)) (\(share)) \(text), first \(example)"))
        }
        if let encoder, let example { try display(example, encoder) }
    }

    /// Levels that the text names; data with more has its level field misread.
    private static let shownLevels = 50

    private func chosen(_ pairs: [Pair]) throws -> Pair? {
        guard let show else { return pairs.first(where: \.isComplete) ?? pairs.first }
        guard let pair = pairs.first(where: { $0.id == show }) else {
            throw ValidationError("--show \(show): \(input) has no pair with this id")
        }
        return pair
    }

    /// Prints the responses of a pair as training sees them: text, then ids.
    private func display(_ pair: Pair, _ encoder: PromptEncoder) throws {
        let prompt = try encoder.prompt(for: pair.problem)
        let responses = [
            ("think", pair.think.map(encoder.response(_:))), ("short", pair.short.map(encoder.response(short:))),
        ]
        func marked(_ before: String, _ after: String, _ separator: String) -> String {
            Terminal.colorsOutput
                ? Style.faint(before) + separator + Style.green(after) : "\(before)\(separator)»\(after)«"
        }
        for case (let name, let response?) in responses {
            let title = "pair \(pair.id.onOneLine(limit: 80)), \(name)"
            print("\n" + Style.bold("\(title): \(prompt.count) + \(response.count) tokens"))
            print(marked(encoder.tokenizer.decode(prompt), encoder.tokenizer.decode(response), ""))
            print(
                marked(
                    prompt.map(String.init).joined(separator: " "), response.map(String.init).joined(separator: " "),
                    " "))
        }
    }
}
