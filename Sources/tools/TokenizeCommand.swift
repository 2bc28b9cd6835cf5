import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import TrainLoop

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Show the tokens of a text, or the text of token ids.",
        discussion: """
            Examples:
              ckpt tokenize tokens.h5 "What is 6*7?"
              ckpt tokenize tokens.h5 "What is 6*7?" --chat
              ckpt tokenize tokens.h5 --ids 1,2,30
              ckpt tokenize tokens.h5 --json < prompt.txt

            Each line shows an id and its text in quotation marks. Bytes of an incomplete character are written \\xE7, \
            invisible characters \\u200b. Special, added and control tokens are marked. --chat renders the text as a \
            user's turn with the chat template, the prompt of training and evaluation. The text of a special token is \
            encoded as that token, except in a user's turn or with --plain.
            """)

    @Argument(
        help: ArgumentHelp(
            "A \(ModelArguments.formats), a tokenizer.json, or a SentencePiece .model.", valueName: "model"),
        completion: .file())
    var file: String

    @Argument(help: "The text. Default: stdin.")
    var text: String?

    @Option(help: ArgumentHelp("Decode these ids instead of encoding a text.", valueName: "id,id,..."))
    var ids: String?

    @Flag(help: "Render the text with the chat template and show the prompt.")
    var chat = false

    @Flag(help: "Encode special tokens in the text as ordinary characters.")
    var plain = false

    @Flag(help: "Print the result as JSON (schemas/tokenize-report.schema.json).")
    var json = false

    @OptionGroup var models: ModelArguments

    func validate() throws {
        guard ids == nil || (text == nil && !chat && !plain) else {
            throw ValidationError("--ids cannot be combined with a text, --chat or --plain")
        }
        guard !(chat && plain) else { throw ValidationError("--chat and --plain cannot be combined") }
    }

    func run() throws {
        try models.check([file])
        let source = try TokenizerSource(path: file, models)
        let tokenizer = source.tokenizer
        let given: String?
        let encoded: [Int]
        if let ids {
            given = nil
            encoded = try parsed(ids, tokenizer)
        } else {
            let read = try text ?? readText()
            try PromptLimit.check(text: read)
            given = read
            encoded = chat ? try source.prompt(for: read) : tokenizer.encode(read, parsingAddedTokens: !plain)
        }
        try FileError.naming(file) { try tokenizer.checkPatterns() }
        let tokenText = TokenText(tokenizer: tokenizer, control: source.control)
        let decoded = tokenizer.decode(encoded)
        if json {
            print(json: report(tokenText, encoded, decoded, given))
        } else {
            show(tokenText, encoded, decoded, given)
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

    private func readText() throws -> String {
        if Terminal.isTerminal(STDIN_FILENO) {
            Terminal.writeError("reading the text from the terminal; end it with Ctrl-D")
        }
        let bytes = try StandardStreams.readInput()
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        Terminal.warn("stdin is not valid UTF-8; invalid bytes are replaced with U+FFFD")
        return String(decoding: bytes, as: UTF8.self)
    }

    private func show(_ tokenText: TokenText, _ ids: [Int], _ decoded: String, _ given: String?) {
        for id in ids {
            let kind = tokenText.kind(of: id)
            let piece = tokenText.quoted(id)
            print(
                Format.column("\(id)", 7, alignRight: true) + "  "
                    + (kind == .text ? piece : Style.bold(piece) + "  " + Style.cyan(kind.rawValue)))
        }
        if !ids.isEmpty { print() }
        let bytes = decoded.utf8.count
        print("\(Format.counted(ids.count, "token")), \(Format.counted(bytes, "byte"))")
        if chat || given == nil {
            print(chat ? "prompt:" : "text:")
            for line in decoded.split(separator: "\n", omittingEmptySubsequences: false).withNewlines {
                print("  " + TokenText.quoted(line))
            }
        } else if let given, !given.utf8.elementsEqual(decoded.utf8) {
            print("decodes to different text: " + TokenText.quoted(decoded))
        }
        if let given, chat || plain {
            for content in tokenText.tokens(written: given) {
                print("\(TokenText.quoted(content)) in the text is encoded as ordinary characters, not as the token")
            }
        }
    }

    private func report(_ tokenText: TokenText, _ ids: [Int], _ decoded: String, _ given: String?) -> JSON {
        // Tokens with the same id share one value.
        var values: [Int: JSON] = [:]
        let tokens = ids.map { id -> JSON in
            if let value = values[id] { return value }
            let value: JSON = [
                "id": .integer(id), "token": tokenText.tokenizer.token(of: id).map { .string($0) } ?? .null,
                "text": .string(tokenText.tokenizer.text(of: id)), "kind": .string(tokenText.kind(of: id).rawValue),
            ]
            values[id] = value
            return value
        }
        let isExact = given.map { $0.utf8.elementsEqual(decoded.utf8) }
        return [
            "count": .integer(ids.count), "tokens": .array(tokens), "text": .string(decoded),
            "round_trip": chat ? .null : isExact.map { .bool($0) } ?? .null,
        ]
    }
}

/// The tokenizer and chat template of a checkpoint, model folder, GGUF file or tokenizer.json.
private struct TokenizerSource {
    let path: String
    let tokenizer: Tokenizer
    /// nil for a tokenizer.json.
    let metadata: CheckpointMetadata?

    init(path: String, _ models: ModelArguments) throws {
        self.path = path
        metadata = try Self.isTokenizer(path) ? nil : models.open(path).metadata
        let json = metadata == nil ? try TokenizerRecord.json(path: path) : []
        tokenizer = try FileError.naming(path) { [metadata] in
            guard let metadata else {
                return try Tokenizer(
                    json: path.hasSuffix(".model")
                        ? ModelImport.tokenizerJSON(sentencePieceModel: json, path: path) : json)
            }
            guard let record = metadata.tokenizer else { throw PromptError.noTokenizer }
            return try Tokenizer(json: record.json)
        }
    }

    /// Whether a file is a tokenizer alone: a SentencePiece model, or JSON that is not the index of safetensors.
    private static func isTokenizer(_ path: String) throws -> Bool {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
            !path.hasSuffix(".safetensors.index.json")
        else { return false }
        if path.hasSuffix(".model") { return true }
        return try FileHandle(forReadingAtPath: path)?.read(upToCount: 1)?.first == UInt8(ascii: "{")
    }

    /// The ids of the control tokens.
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

private enum TokenKind: String {
    case text, added, special, control
}

/// The kinds and printable texts of a tokenizer's tokens.
private struct TokenText {
    let tokenizer: Tokenizer
    private var kinds: [Int: TokenKind] = [:]

    init(tokenizer: Tokenizer, control: [Int]) {
        self.tokenizer = tokenizer
        for token in tokenizer.addedTokens { kinds[token.id] = token.special ? .special : .added }
        for id in control { kinds[id] = .control }
    }

    func kind(of id: Int) -> TokenKind { kinds[id] ?? .text }

    /// The distinct added tokens whose text occurs in `text`.
    func tokens(written text: String) -> [String] {
        Set(tokenizer.encode(text)).filter { kinds[$0] != nil }.sorted().compactMap { tokenizer.token(of: $0) }
    }

    /// The text of one token in quotation marks on one line; bytes of incomplete characters as `\xE7`.
    func quoted(_ id: Int) -> String {
        let text = tokenizer.text(of: id)
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

    /// A text in quotation marks on one line; invisible characters other than the space are escaped.
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
    /// The lines with their newlines, without an empty last one.
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
        case .noIDs: "--ids has no id; give numbers separated by commas"
        case .noSuchID(let text, let count): "no token has the id \(text); ids range from 0 to \(count - 1)"
        case .noTemplate(let path): "\(path): has no chat template; leave out --chat"
        case .onlyTokenizer(let path):
            "\(path): a tokenizer.json has no chat template; give the model's folder or checkpoint, or leave out --chat"
        }
    }
}
