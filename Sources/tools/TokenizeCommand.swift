import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import TrainLoop

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Show how a model's tokenizer cuts a text, or what ids stand for.",
        discussion: """
            Examples:
              ckpt tokenize tokens.h5 "What is 6*7?"
              ckpt tokenize tokens.h5 "What is 6*7?" --chat
              ckpt tokenize tokens.h5 --ids 1,2,30
              ckpt tokenize tokens.h5 --json < prompt.txt

            Each line is an id and its piece, in quotation marks so that spaces and newlines show; bytes that are only \
            part of a character are written \\xE7, characters that cannot be seen \\u200b. Special, added and control \
            tokens are marked. --chat puts the text into the chat template as a user's turn, the prompt of training \
            and evaluation. What looks like a special token is one, except in a user's turn; --plain takes all text as \
            it is written.
            """)

    @Argument(
        help: ArgumentHelp(
            "A checkpoint, a tokenizer.json, or a model as ckpt import reads it.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var file: String

    @Argument(help: "The text. Default: stdin.")
    var text: String?

    @Option(help: ArgumentHelp("Show these ids instead of a text.", valueName: "id,id,..."))
    var ids: String?

    @Flag(help: "Render the text with the chat template first, and show the prompt.")
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
        let source = try TokenizerSource(path: file)
        let tokenizer = source.tokenizer
        let given: String?
        let encoded: [Int]
        if let ids {
            given = nil
            encoded = try parsed(ids, tokenizer)
        } else {
            let read = text ?? readText()
            given = read
            encoded = chat ? try source.prompt(for: read) : tokenizer.encode(read, parsingAddedTokens: !plain)
        }
        let pieces = TokenPieces(tokenizer: tokenizer, control: source.control)
        let decoded = tokenizer.decode(encoded)
        if json {
            print(report(pieces, encoded, decoded, given).serialized(indent: 2))
        } else {
            show(pieces, encoded, decoded, given)
        }
    }

    private func parsed(_ ids: String, _ tokenizer: Tokenizer) throws -> [Int] {
        let parts = ids.split(whereSeparator: { ", \t\n".contains($0) })
        guard !parts.isEmpty else { throw TokenizeError.noIDs }
        return try parts.map { part in
            guard let id = Int(part), tokenizer.token(of: id) != nil else {
                throw TokenizeError.noSuchID(String(part), count: tokenizer.vocabularySize)
            }
            return id
        }
    }

    private func readText() -> String {
        if Terminal.isTerminal(STDIN_FILENO) {
            Terminal.writeError("reading the text from the terminal; end it with Ctrl-D")
        }
        let bytes = Array(FileHandle.standardInput.readDataToEndOfFile())
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        Terminal.warn("stdin is not UTF-8; bytes that are none are taken as U+FFFD")
        return String(decoding: bytes, as: UTF8.self)
    }

    private func show(_ pieces: TokenPieces, _ ids: [Int], _ decoded: String, _ given: String?) {
        for id in ids {
            let kind = pieces.kind(of: id)
            let piece = pieces.quoted(id)
            print(
                Format.column("\(id)", 7, alignRight: true) + "  "
                    + (kind == .text ? piece : Style.bold(piece) + "  " + Style.cyan(kind.rawValue)))
        }
        if !ids.isEmpty { print() }
        let bytes = decoded.utf8.count
        print("\(Format.grouped(ids.count)) tokens, \(Format.grouped(bytes)) bytes")
        if chat || given == nil {
            print(chat ? "prompt:" : "text:")
            for line in decoded.split(separator: "\n", omittingEmptySubsequences: false).withNewlines {
                print("  " + TokenPieces.quoted(line))
            }
        } else if let given, !given.utf8.elementsEqual(decoded.utf8) {
            print("decodes to other text: " + TokenPieces.quoted(decoded))
        }
        if let given, chat || plain {
            for content in pieces.tokens(written: given) {
                print("\(TokenPieces.quoted(content)) in the text is no token here: it is taken as it is written")
            }
        }
    }

    private func report(_ pieces: TokenPieces, _ ids: [Int], _ decoded: String, _ given: String?) -> JSON {
        let tokens = ids.map { id -> JSON in
            [
                "id": .integer(id), "token": pieces.tokenizer.token(of: id).map { .string($0) } ?? .null,
                "text": .string(pieces.tokenizer.decode([id])), "kind": .string(pieces.kind(of: id).rawValue),
            ]
        }
        let isExact = given.map { $0.utf8.elementsEqual(decoded.utf8) }
        return [
            "count": .integer(ids.count), "tokens": .array(tokens), "text": .string(decoded),
            "round_trip": chat ? .null : isExact.map { .bool($0) } ?? .null,
        ]
    }
}

/// Where the tokenizer and the chat template come from.
private struct TokenizerSource {
    let path: String
    let tokenizer: Tokenizer
    /// nil for a tokenizer.json alone.
    let metadata: CheckpointMetadata?

    init(path: String) throws {
        self.path = path
        metadata = try Self.metadata(path)
        tokenizer = try FileError.naming(path) { [metadata] in
            guard let metadata else {
                return try Tokenizer(json: Array(try Data(contentsOf: URL(fileURLWithPath: path))))
            }
            guard let record = metadata.tokenizer else { throw PromptError.noTokenizer }
            return try Tokenizer(json: record.json)
        }
    }

    private static func metadata(_ path: String) throws -> CheckpointMetadata? {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            return try ForeignModel.open(path: path).metadata
        }
        let start = try FileHandle(forReadingAtPath: path)?.read(upToCount: 4) ?? Data()
        if start.starts(with: Data("GGUF".utf8)) { return try ForeignModel.open(path: path).metadata }
        return start.first == UInt8(ascii: "{") ? nil : try CheckpointFile(path: path).metadata
    }

    /// The control tokens, by id.
    var control: [Int] {
        guard let record = metadata?.tokenizer else { return [] }
        return [record.thinkID, record.thinkEndID, record.shortID].compactMap { $0 }
    }

    func prompt(for text: String) throws -> [Int] {
        guard let metadata else { throw TokenizeError.onlyTokenizer(path) }
        guard metadata.chatTemplate != nil else { throw TokenizeError.noTemplate(path) }
        return try FileError.naming(path) { try PromptReader(metadata).prompt(for: text) }
    }
}

/// How tokens are named and written for a person.
private struct TokenPieces {
    let tokenizer: Tokenizer
    private var kinds: [Int: Kind] = [:]

    enum Kind: String {
        case text, added, special, control
    }

    init(tokenizer: Tokenizer, control: [Int]) {
        self.tokenizer = tokenizer
        for token in tokenizer.addedTokens { kinds[token.id] = token.special ? .special : .added }
        for id in control { kinds[id] = .control }
    }

    func kind(of id: Int) -> Kind { kinds[id] ?? .text }

    /// The added tokens that a text would give if its words counted as tokens, once each.
    func tokens(written text: String) -> [String] {
        Set(tokenizer.encode(text)).filter { kinds[$0] != nil }.sorted().compactMap { tokenizer.token(of: $0) }
    }

    /// The piece of one token in quotation marks, on one line; bytes that are no whole character as `\xE7`.
    func quoted(_ id: Int) -> String {
        let text = tokenizer.decode([id])
        guard text.unicodeScalars.contains("\u{FFFD}"), let bytes = tokenizer.bytes(of: id) else {
            return Self.quoted(text)
        }
        var result = ""
        var rest = bytes[...]
        while let byte = rest.first {
            let length = (1...min(4, rest.count)).first { String(validating: rest.prefix($0), as: UTF8.self) != nil }
            if let length {
                result += Self.quoted(String(decoding: rest.prefix(length), as: UTF8.self)).dropFirst().dropLast()
            } else {
                result += "\\x" + String(byte, radix: 16, uppercase: true)
            }
            rest = rest.dropFirst(length ?? 1)
        }
        return "\"\(result)\""
    }

    /// One line, whatever is in the text; what cannot be seen, but for the space, is written by its number.
    static func quoted(_ text: String) -> String {
        JSON.string(text).serialized().unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned,
                .spaceSeparator where scalar != " ":
                result += String(format: scalar.value > 0xFFFF ? "\\U%08x" : "\\u%04x", scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
}

extension Array where Element == Substring {
    /// Each line with the newline that ended it; no empty last one.
    fileprivate var withNewlines: [String] {
        enumerated().map { $0.offset < count - 1 ? $0.element + "\n" : String($0.element) }.filter { !$0.isEmpty }
    }
}

enum TokenizeError: Error, CustomStringConvertible {
    case noIDs
    case noSuchID(String, count: Int)
    case noTemplate(String)
    case onlyTokenizer(String)

    var description: String {
        switch self {
        case .noIDs: "--ids names no id; give numbers with commas between"
        case .noSuchID(let text, let count): "no token has the id \(text); ids run from 0 to \(count - 1)"
        case .noTemplate(let path): "\(path): has no chat template; leave out --chat"
        case .onlyTokenizer(let path):
            "\(path): a tokenizer.json has no chat template; give the model's folder or checkpoint, or leave out --chat"
        }
    }
}
