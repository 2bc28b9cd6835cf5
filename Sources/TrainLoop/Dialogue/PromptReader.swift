import CheckpointIO
import OrderedJSON
import Tokenization
import Transformer

/// Tokenizer, chat template and end tokens of a checkpoint: what it takes to ask any model.
public struct PromptReader: Sendable {
    public let tokenizer: Tokenizer
    /// nil before `add-tokens`.
    public let control: ControlTokens?
    /// Ends a turn.
    public let endToken: Int
    /// Every token at which generation stops; holds `endToken`.
    public let stopTokens: Set<Int>

    private let template: ChatTemplate?
    private let templateVariables: [String: JSON]

    /// Why a checkpoint cannot be asked.
    public enum Failure: Error, CustomStringConvertible {
        case noTokenizer
        case noEndToken
        case tokenBeyondModel(id: Int, rows: Int)
        case emptyPrompt(String)
        case textRewritten(token: String)

        public var description: String {
            switch self {
            case .noTokenizer: "the checkpoint has no tokenizer; import the model together with its tokenizer.json"
            case .tokenBeyondModel(let id, let rows):
                "the tokenizer has token \(id), but the model has only \(rows) rows; run ckpt resize-vocab or import them anew"
            case .emptyPrompt(let text):
                "the prompt \"\(text.prefix(60))\" gives no tokens; the tokenizer knows none of its characters"
            case .textRewritten(let token):
                "the chat template rewrites what the user says, so \"\(token)\" in it cannot be told from a token; take it out of the text"
            case .noEndToken: "neither generation_config nor config nor the tokenizer's config names an eos token"
            }
        }
    }

    /// - Throws: `Failure`, errors of tokenizer, template and JSON.
    public init(_ metadata: CheckpointMetadata) throws {
        guard let record = metadata.tokenizer else { throw Failure.noTokenizer }
        tokenizer = try Tokenizer(json: record.json)
        if let think = record.thinkID, let thinkEnd = record.thinkEndID, let short = record.shortID {
            control = ControlTokens(think: think, thinkEnd: thinkEnd, short: short)
        } else {
            control = nil
        }
        template = try metadata.chatTemplate.map { try ChatTemplate($0) }

        let tokenizerConfig = try record.config.map { try JSON.parse($0) } ?? .null
        var variables: [String: JSON] = [:]
        for name in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            if let text = tokenizerConfig[name]?.string ?? tokenizerConfig[name]?["content"]?.string {
                variables[name] = .string(text)
            }
        }
        templateVariables = variables

        // The tokenizer's own eos ends a turn (`<|im_end|>`); the configs may list more.
        var ends: [Int] = []
        if let text = variables["eos_token"]?.string, let id = tokenizer.id(of: text) { ends.append(id) }
        for text in [metadata.generationConfig, metadata.config].compactMap({ $0 }) {
            let value = try JSON.parse(text)["eos_token_id"]
            ends += value?.array?.compactMap(\.int) ?? value?.int.map { [$0] } ?? []
        }
        guard let first = ends.first else { throw Failure.noEndToken }
        endToken = first
        stopTokens = Set(ends)

        // An id without a row would be read from outside the matrices.
        let rows = try ModelConfiguration(json: metadata.config).vocabularySize
        var highest = [tokenizer.vocabularySize - 1, endToken]
        if let control { highest += [control.think, control.thinkEnd, control.short] }
        if let id = highest.first(where: { $0 < 0 || $0 >= rows }) {
            throw Failure.tokenBeyondModel(id: id, rows: rows)
        }
    }

    /// The prompt's ids, up to where the model's first token follows.
    ///
    /// Tokens of the template are control tokens; the same characters in a user's text are not.
    ///
    /// - Throws: `Failure.emptyPrompt`, `Failure.textRewritten`; errors of the template.
    public func prompt(for problem: String) throws -> [Int] {
        let ids = try encoded(problem)
        guard !ids.isEmpty else { throw Failure.emptyPrompt(problem) }
        return ids
    }

    private func encoded(_ problem: String) throws -> [Int] {
        guard let template else {
            return tokenizer.encode(problem, addSpecialTokens: true, parsingAddedTokens: false)
        }
        // By bytes, as the tokenizer looks: to Swift's own search a combining mark behind a token would hide it.
        guard let token = tokenizer.addedTokens.first(where: { !problem.byteOffsets(of: $0.content).isEmpty }) else {
            return tokenizer.encode(try render(problem, with: template), parsingAddedTokens: true)
        }
        // The text is put in after rendering, so that what looks like a token in it stays text.
        let marker = "\u{E000}ckpt-user-text\u{E001}"
        let parts = try render(marker, with: template).split(separator: marker, omittingEmptySubsequences: false)
        guard parts.count > 1 else { throw Failure.textRewritten(token: token.content) }
        var ids = tokenizer.encode(String(parts[0]), parsingAddedTokens: true)
        for part in parts.dropFirst() {
            ids += tokenizer.encode(problem, parsingAddedTokens: false)
            ids += tokenizer.encode(String(part), parsingAddedTokens: true)
        }
        return ids
    }

    /// The text of a response's tokens: control and special tokens readable, stop tokens left out.
    public func text(of tokens: some Sequence<Int>) -> String {
        tokenizer.decode(tokens.filter { !stopTokens.contains($0) })
    }

    private func render(_ problem: String, with template: ChatTemplate) throws -> String {
        try template.render(
            [ChatMessage(role: "user", content: problem)], addGenerationPrompt: true, variables: templateVariables)
    }
}
