import CheckpointIO
import OrderedJSON
import Tokenization

/// Converts between text and token ids for SFT, rollouts, probe, evaluation and generation.
///
/// A sequence is `render([user], add_generation_prompt)` ++ `[control]` ++ `encode("\n" + answer)` ++ `[eos]`. Response
/// ids never come from rendering a whole dialogue, so training sees the same ids that sampling produces.
package struct PromptEncoder: Sendable {
    /// Encodes prompts without regard to modes.
    package let reader: PromptReader
    package let control: ControlTokens

    package var tokenizer: Tokenizer { reader.tokenizer }
    /// Ends every response that SFT trains.
    package var endToken: Int { reader.endToken }
    /// All tokens at which generation stops, including `endToken`.
    package var stopTokens: Set<Int> { reader.stopTokens }

    /// - Throws: `ControlTokenError`, `PromptError`, errors of tokenizer and template.
    package init(_ metadata: CheckpointMetadata) throws {
        reader = try PromptReader(metadata)
        guard let control = reader.control else { throw ControlTokenError.noControlTokens }
        self.control = control
        // What stands after the user's text is the same for two texts.
        let (one, other) = (try prompt(for: "?"), try prompt(for: "1"))
        let end = zip(one.reversed(), other.reversed()).prefix { $0 == $1 }.map(\.0).reversed()
        if let prefilled = end.first(where: { control.mode(of: $0) != nil || $0 == control.thinkEnd }) {
            throw ControlTokenError.templatePrefillsMode(tokenizer.token(of: prefilled) ?? "token \(prefilled)")
        }
    }

    /// The encoder of a checkpoint file.
    ///
    /// - Throws: `UnusableCheckpoint`, which names the file.
    package init(_ file: CheckpointFile) throws {
        self = try UnusableCheckpoint.naming(file) { try PromptEncoder(file.metadata) }
    }

    /// The ids of the prompt for a problem; the model's first token comes next.
    package func prompt(for problem: String, after context: [ChatMessage] = []) throws -> [Int] {
        try reader.prompt(for: problem, after: context)
    }

    /// The ids of a long response: `<think>`, line feed, working, `</think>`, answer, end token.
    package func response(_ think: Pair.ThinkResponse) -> [Int] {
        [control.think] + afterToken("\n" + think.working) + [control.thinkEnd] + afterToken(think.answer) + [endToken]
    }

    /// The ids of a short response: `<short>`, line feed, answer, end token.
    package func response(short answer: String) -> [Int] {
        [control.short] + afterToken("\n" + answer) + [endToken]
    }

    private func afterToken(_ text: String) -> [Int] {
        tokenizer.encode(text, parsingAddedTokens: false, position: .afterAddedToken)
    }

    /// The text of response tokens, with control and special tokens but without stop tokens.
    package func text(of tokens: some Sequence<Int>) -> String { reader.text(of: tokens) }
}

/// Why a checkpoint cannot answer in two modes.
package enum ControlTokenError: Error, CustomStringConvertible {
    case noControlTokens
    case templatePrefillsMode(String)

    package var description: String {
        switch self {
        case .noControlTokens: "the checkpoint has no control tokens; run ckpt add-tokens on it first"
        case .templatePrefillsMode(let token):
            "the chat template already puts \(token) into the prompt, so the model cannot choose a mode; "
                + "run ckpt add-tokens --fix-template"
        }
    }
}

/// A valid checkpoint that cannot be used for the requested operation.
package struct UnusableCheckpoint: Error, CustomStringConvertible {
    package let path: String
    package let reason: String

    package var description: String { "\(path): \(reason)" }

    static func naming<Result>(_ file: CheckpointFile, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw UnusableCheckpoint(path: file.path, reason: "\(error)") }
    }
}
