import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import TrainLoop

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Show how a checkpoint's tokenizer cuts a text, or what ids stand for.",
        discussion: """
            ckpt tokenize tokens.h5 "What is 6*7?"
            ckpt tokenize tokens.h5 "What is 6*7?" --chat
            ckpt tokenize tokens.h5 --ids 1,2,49152

            Without a text it reads stdin. --chat puts the text into the chat template as a user's turn, the prompt of \
            training and evaluation. What looks like a special token is one, except in a user's turn; --plain takes all \
            text as it is written.
            """)

    @Argument(help: ArgumentHelp("The checkpoint, or a tokenizer.json.", valueName: "checkpoint"))
    var file: String

    @Argument(help: "The text. Default: stdin.")
    var text: String?

    @Option(help: ArgumentHelp("Show these ids instead of a text.", valueName: "id,id,..."))
    var ids: String?

    @Flag(help: "Render the text with the chat template first.")
    var chat = false

    @Flag(help: "Special tokens in the text are ordinary characters.")
    var plain = false

    @Flag(help: "Print the result as JSON (schemas/tokenize-report.schema.json).")
    var json = false

    func validate() throws {
        guard ids == nil || (text == nil && !chat && !plain) else {
            throw ValidationError("--ids goes with no text, --chat or --plain")
        }
        guard !(chat && plain) else { throw ValidationError("--chat and --plain exclude each other") }
    }

    func run() throws {
        let (tokenizer, prompt) = try open()
        let given: String?
        let encoded: [Int]
        if let ids {
            given = nil
            encoded = try ids.split(whereSeparator: { ", \n".contains($0) }).map { part in
                guard let id = Int(part), tokenizer.token(of: id) != nil else {
                    throw TokenizeError.noSuchID(String(part), count: tokenizer.vocabularySize)
                }
                return id
            }
        } else {
            let source = text ?? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
            given = source
            encoded =
                chat
                ? try prompt().prompt(for: source) : tokenizer.encode(source, parsingAddedTokens: !plain)
        }
        let decoded = tokenizer.decode(encoded)
        if json {
            print(report(tokenizer, encoded, decoded, given).serialized(indent: 2))
        } else {
            show(tokenizer, encoded, decoded, given)
        }
    }

    /// The tokenizer, and what renders prompts; the latter fails only when asked for.
    private func open() throws -> (Tokenizer, () throws -> PromptReader) {
        if let handle = FileHandle(forReadingAtPath: file), try handle.read(upToCount: 1) == Data("{".utf8) {
            let tokenizer = try Tokenizer(json: Array(try Data(contentsOf: URL(fileURLWithPath: file))))
            return (tokenizer, { throw TokenizeError.noTemplate(file) })
        }
        let checkpoint = try CheckpointFile(path: file)
        guard let record = checkpoint.metadata.tokenizer else { throw PromptReader.Failure.noTokenizer }
        return (
            try Tokenizer(json: record.json),
            {
                guard checkpoint.metadata.chatTemplate != nil else { throw TokenizeError.noTemplate(file) }
                return try PromptReader(checkpoint.metadata)
            }
        )
    }

    private func show(_ tokenizer: Tokenizer, _ ids: [Int], _ decoded: String, _ given: String?) {
        let added = Dictionary(uniqueKeysWithValues: tokenizer.addedTokens.map { ($0.id, $0) })
        for id in ids {
            let piece = Self.quoted(tokenizer.decode([id]))
            let kind = added[id].map { $0.special ? "  special" : "  added" } ?? ""
            print(
                Format.column("\(id)", 7, alignRight: true) + "  " + (kind.isEmpty ? piece : Style.bold(piece) + kind))
        }
        let bytes = decoded.utf8.count
        print("\n\(Format.grouped(ids.count)) tokens, \(Format.grouped(bytes)) bytes")
        if chat || given == nil {
            print("text: " + Self.quoted(decoded))
        } else if let given, !given.utf8.elementsEqual(decoded.utf8) {
            print("decodes to other text: " + Self.quoted(decoded))
        }
    }

    private func report(_ tokenizer: Tokenizer, _ ids: [Int], _ decoded: String, _ given: String?) -> JSON {
        let tokens = ids.map { id -> JSON in
            [
                "id": .integer(id), "token": tokenizer.token(of: id).map { .string($0) } ?? .null,
                "text": .string(tokenizer.decode([id])),
            ]
        }
        let isExact = given.map { $0.utf8.elementsEqual(decoded.utf8) }
        return [
            "tokens": .array(tokens), "text": .string(decoded),
            "round_trip": chat ? .null : isExact.map { .bool($0) } ?? .null,
        ]
    }

    /// One line, whatever is in the text.
    private static func quoted(_ text: String) -> String { JSON.string(text).serialized() }
}

enum TokenizeError: Error, CustomStringConvertible {
    case noSuchID(String, count: Int)
    case noTemplate(String)

    var description: String {
        switch self {
        case .noSuchID(let text, let count): "no token has the id \(text); ids run from 0 to \(count - 1)"
        case .noTemplate(let path): "\(path): has no chat template; leave out --chat"
        }
    }
}
