import CheckpointIO
import OrderedJSON
import Tokenization
import Transformer

/// Encodes prompts for any model: tokenizer, chat template and end tokens of a checkpoint.
package struct PromptReader: Sendable {
    package let tokenizer: Tokenizer
    /// nil before `add-tokens`.
    package let control: ControlTokens?
    /// Ends a turn.
    package let endToken: Int
    /// All tokens at which generation stops, including `endToken`.
    package let stopTokens: Set<Int>

    /// The positions that the model reads.
    package var positions: Int { limit.tokens }
    private let limit: PromptLimit
    private let template: ChatTemplate?
    private let templateVariables: [String: JSON]

    /// - Throws: `PromptError`, errors of tokenizer, template and JSON.
    package init(_ metadata: CheckpointMetadata) throws {
        guard let record = metadata.tokenizer else { throw PromptError.noTokenizer }
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
        guard let first = ends.first else { throw PromptError.noEndToken }
        endToken = first
        stopTokens = Set(ends)

        // An id without a row in the embedding would be read out of bounds.
        let configuration = try ModelConfiguration(json: metadata.config)
        limit = PromptLimit(configuration)
        let rows = configuration.vocabularySize
        var highest = [tokenizer.vocabularySize - 1, endToken]
        if let control { highest += [control.think, control.thinkEnd, control.short] }
        if let id = highest.first(where: { $0 < 0 || $0 >= rows }) {
            throw PromptError.tokenBeyondModel(id: id, rows: rows)
        }
    }

    /// The ids of the prompt for a problem; the model's first token comes next.
    ///
    /// Added tokens in the template become single ids; the same characters in the problem stay ordinary text.
    ///
    /// - Throws: `PromptError.emptyPrompt`, `PromptError.tooLong`, `PromptError.textRewritten`; errors of tokenizer and
    ///   template.
    package func prompt(for problem: String, after context: [ChatMessage] = []) throws -> [Int] {
        try limit.check(text: problem)
        let ids = try encoded(context + [ChatMessage(role: "user", content: problem)])
        try tokenizer.checkPatterns()
        guard !ids.isEmpty else { throw PromptError.emptyPrompt(problem) }
        try limit.check(ids: ids, of: problem)
        return ids
    }

    /// The ids of the prompts for problems.
    ///
    /// - Throws: `ProblemError`, which names the problem.
    package func prompts(for problems: [Problem], _ text: (Problem) -> String = { $0.problem }) throws -> [[Int]] {
        try problems.map { problem in
            do {
                return try prompt(for: text(problem), after: problem.context)
            } catch { throw ProblemError(problem, error) }
        }
    }

    /// The ids of the prompt for a problem of training data; nil if it is too long for the model.
    ///
    /// - Throws: `ProblemError`, which names the problem.
    package func promptIfShortEnough(for problem: Problem) throws -> [Int]? {
        do {
            return try prompts(for: [problem]).first
        } catch let error as ProblemError where error.isTooLong { return nil }
    }

    private func encoded(_ messages: [ChatMessage]) throws -> [Int] {
        guard let template else {
            guard messages.count == 1 else { throw PromptError.noTemplate }
            return tokenizer.encode(messages[0].content, addSpecialTokens: true, parsingAddedTokens: false)
        }
        guard let token = messages.lazy.compactMap({ tokenizer.addedToken(in: $0.content) }).first else {
            return tokenizer.encode(try render(messages, with: template), parsingAddedTokens: true)
        }
        // The messages are inserted after rendering, so that text which looks like a token stays text.
        let marked = messages.indices.map { ChatMessage(role: messages[$0].role, content: Self.marker($0)) }
        let pieces = Self.pieces(of: try render(marked, with: template), count: messages.count)
        guard Set(pieces.compactMap(\.message)).count == messages.count else {
            throw PromptError.textRewritten(token: token.content)
        }
        for (index, message) in messages.enumerated() {
            try limit.check(text: message.content, repeated: pieces.count { $0.message == index })
        }
        var ids: [Int] = []
        for piece in pieces {
            guard let index = piece.message else {
                let position: TextPosition = ids.isEmpty ? .start : .afterText
                ids += tokenizer.encode(piece.text, parsingAddedTokens: true, position: position)
                continue
            }
            let isAfterToken = ids.last.map { last in tokenizer.addedTokens.contains { $0.id == last } } ?? false
            let position: TextPosition = ids.isEmpty ? .start : isAfterToken ? .afterAddedToken : .afterText
            ids += tokenizer.encode(messages[index].content, parsingAddedTokens: false, position: position)
        }
        return ids
    }

    private static func marker(_ index: Int) -> String { "\u{E000}ckpt-message-\(index)\u{E001}" }

    /// The text between the markers of messages, and the messages that the markers stand for.
    private static func pieces(of text: String, count: Int) -> [(text: String, message: Int?)] {
        var pieces: [(text: String, message: Int?)] = [(text, nil)]
        for index in 0..<count {
            pieces = pieces.flatMap { piece -> [(text: String, message: Int?)] in
                guard piece.message == nil else { return [piece] }
                let parts = piece.text.split(separator: marker(index), omittingEmptySubsequences: false)
                return parts.enumerated().flatMap { place, part -> [(text: String, message: Int?)] in
                    (place == 0 ? [] : [("", index)]) + [(String(part), nil)]
                }
            }
        }
        return pieces
    }

    /// The text of response tokens, with control and special tokens but without stop tokens.
    package func text(of tokens: some Sequence<Int>) -> String {
        tokenizer.decode(tokens.filter { !stopTokens.contains($0) })
    }

    private func render(_ messages: [ChatMessage], with template: ChatTemplate) throws -> String {
        let text = try template.render(messages, addGenerationPrompt: true, variables: templateVariables)
        try limit.check(text: text)
        return text
    }
}

/// Why a checkpoint or a text does not give a prompt.
package enum PromptError: Error, CustomStringConvertible {
    case noTokenizer
    case noEndToken
    case noTemplate
    case tokenBeyondModel(id: Int, rows: Int)
    case emptyPrompt(String)
    case textRewritten(token: String)
    case tooLong(text: String, count: Int, unit: String, limit: Int, source: String)

    package var description: String {
        switch self {
        case .noTokenizer: "the checkpoint has no tokenizer; import the model together with its tokenizer.json"
        case .tokenBeyondModel(let id, let rows):
            "the tokenizer has token \(id), but the model has only \(rows) rows; run ckpt resize-vocab, or import both "
                + "again"
        case .emptyPrompt(let text):
            "the prompt \"\(text.prefix(60))\" gives no tokens; the tokenizer knows none of its characters"
        case .textRewritten(let token):
            "the chat template changes the user's text, so \"\(token)\" in the text would become a control token; "
                + "remove it from the text"
        case .tooLong(let text, let count, let unit, let limit, let source):
            "the prompt \"\(text.onOneLine(limit: 40))\" has \(count) \(unit), over the limit of \(limit) "
                + "\(source); shorten it"
        case .noTemplate:
            "the model has no chat template, which a prompt with several turns needs; leave out the system message and "
                + "earlier turns"
        case .noEndToken: "none of generation_config, config and the tokenizer's config names an eos token"
        }
    }
}

/// A problem that gives no prompt.
package struct ProblemError: Error, CustomStringConvertible {
    package let description: String
    /// Whether the prompt is too long for the model.
    let isTooLong: Bool

    init(_ problem: Problem, _ reason: any Error) {
        let id = problem.id.onOneLine(limit: 80)
        description = "\(problem.origin.text(id: id) ?? "problem \(id)"): \(reason)"
        if case PromptError.tooLong = reason { isTooLong = true } else { isTooLong = false }
    }
}
