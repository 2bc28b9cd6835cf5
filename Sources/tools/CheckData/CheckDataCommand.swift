import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

struct CheckDataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-data",
        abstract: "Look at a data file, and check its pairs or problems before training.",
        discussion: """
            Examples:
              ckpt check-data pairs.jsonl
              ckpt check-data problems.jsonl --schema
              ckpt check-data pairs.jsonl --model tokens.h5 --max-length 1024

            Files are JSON Lines, a JSON array, CSV or Parquet, also compressed with gzip or zstd; - is standard input. \
            --map problem=text,answer=final names fields that are not known. Prints the fields, the first rows, counts, \
            lengths and levels, and the problems of the data: pairs without one of their responses or over the maximum \
            length, wrong answers, duplicates. With --model, lengths are in tokens of its tokenizer, \
            chat template included, and one pair is shown as training sees it, first as text, then as ids. The prompt \
            is faint, and the part that the loss covers is green; without colour, the latter is between » and «.
            """)

    @Argument(
        help: "Pairs or problems.", completion: .file(extensions: ["jsonl", "json", "parquet", "csv", "gz", "zst"]))
    var input: String

    @OptionGroup var reading: DataArguments

    @Flag(help: "Show format, fields and first rows only, of any file.")
    var schema = false

    @Option(help: "Number of first rows to show.")
    var rows = 2

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
        guard (0...10_000_000).contains(rows) else { throw ValidationError("--rows must be between 0 and 10000000") }
        guard maxLength ?? 1 >= 1 else { throw ValidationError("--max-length must be at least 1") }
        guard model != nil || (maxLength == nil && show == nil) else {
            throw ValidationError("--max-length and --show need --model, because they count and show its tokens")
        }
    }

    func run() throws {
        var content = try DataContent(path: input, firstRows: rows)
        if schema {
            if json { print(json: .object(JSONObject(content.json))) } else { show(content) }
            return
        }
        let encoder = try model.map { try PromptEncoder(CheckpointFile(path: $0)) }
        let limit = encoder.map { _ in maxLength ?? SFTDataOptions().maximumLength }
        var example: Pair?
        let check: DataCheck
        let uses = FieldUses()
        do {
            if try DataCheck.holdsPairs(path: input, map: reading.map) {
                let pairs = try PairFile.read(path: input, map: reading.map, uses: uses)
                example = try chosen(pairs)
                check = DataCheck(pairs: pairs, rule: answer, encoder: encoder, maximumLength: limit)
            } else {
                if let show { throw ValidationError("--show \(show): \(input) has problems, not pairs") }
                let problems = try ProblemFile.read(path: input, map: reading.map, uses: uses)
                check = DataCheck(problems: problems, encoder: encoder, maximumLength: limit)
            }
        } catch let error as DataFileError {
            // The fields show what to name with --map.
            if !json { show(content) }
            throw error
        }
        if reading.map == nil { content.fieldsRead = uses.names }
        try encoder?.tokenizer.checkPatterns()
        if json {
            let members = (check.json.object ?? JSONObject()).map { ($0.key, $0.value) }
            print(json: .object(JSONObject(members + content.json)))
            return
        }
        show(content)
        report(check, limit, encoder)
        if let encoder, let example { try display(example, encoder) }
    }

    private func show(_ content: DataContent) {
        for line in DataContentText(content: content).lines { print(line) }
    }

    private func report(_ check: DataCheck, _ limit: Int?, _ encoder: PromptEncoder?) {
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
            print(Style.yellow("\(Format.grouped(finding.count)) (\(share)) \(text), first \(Self.first(finding))"))
        }
    }

    /// The first row of a finding: where it stands, and its id if that is another.
    private static func first(_ finding: DataCheck.Finding) -> String {
        let id = finding.example.onOneLine(limit: 80)
        guard let place = finding.place else { return id }
        return place.hasSuffix(" \(id)") ? place : "\(place) (\(id))"
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
        let prompt = try encoder.prompt(for: pair.problem, after: pair.context)
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
