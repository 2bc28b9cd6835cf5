import CheckpointIO
import OrderedJSON
import Tokenization

/// The one way from texts to ids and back, for SFT, rollouts, probe, evaluation and generation.
///
/// A sequence is `render([user], add_generation_prompt)` ++ `[control]` ++ `encode("\n" + answer)` ++ `[eos]`. Response
/// ids are never made by rendering a dialogue again, so what is trained is what is sampled.
public struct PromptEncoder: Sendable {
    /// Asks without knowing about modes.
    public let reader: PromptReader
    public let control: ControlTokens

    public var tokenizer: Tokenizer { reader.tokenizer }
    /// Ends every response that SFT trains.
    public var endToken: Int { reader.endToken }
    /// Every token at which generation stops; holds `endToken`.
    public var stopTokens: Set<Int> { reader.stopTokens }

    /// Why a checkpoint cannot be asked in two modes.
    public enum Failure: Error, CustomStringConvertible {
        case noControlTokens
        case templatePrefillsMode(String)

        public var description: String {
            switch self {
            case .noControlTokens: "the checkpoint has no control tokens; run ckpt add-tokens on it first"
            case .templatePrefillsMode(let token):
                "the chat template already puts \(token) into the prompt, so the model cannot choose a mode; "
                    + "run ckpt add-tokens --fix-template"
            }
        }
    }

    /// - Throws: `Failure`, `PromptReader.Failure`, errors of tokenizer and template.
    public init(_ metadata: CheckpointMetadata) throws {
        reader = try PromptReader(metadata)
        guard let control = reader.control else { throw Failure.noControlTokens }
        self.control = control
        // A prefilled token may be followed by a line feed.
        let end = try prompt(for: "?").suffix(2)
        if let prefilled = end.first(where: { control.mode(of: $0) != nil }) {
            throw Failure.templatePrefillsMode(tokenizer.token(of: prefilled) ?? "token \(prefilled)")
        }
    }

    /// Of a checkpoint's file, which errors name.
    ///
    /// - Throws: `UnusableCheckpoint`.
    public init(_ file: CheckpointFile) throws {
        self = try UnusableCheckpoint.naming(file) { try PromptEncoder(file.metadata) }
    }

    /// The prompt's ids, up to where the model's first token follows.
    public func prompt(for problem: String) throws -> [Int] { try reader.prompt(for: problem) }

    /// The ids of a long response: `<think>`, line feed, working, `</think>`, answer, end token.
    public func response(_ think: Pair.ThinkResponse) -> [Int] {
        [control.think] + tokenizer.encode("\n" + think.working, parsingAddedTokens: false)
            + [control.thinkEnd] + tokenizer.encode(think.answer, parsingAddedTokens: false) + [endToken]
    }

    /// The ids of a short response: `<short>`, line feed, answer, end token.
    public func response(short answer: String) -> [Int] {
        [control.short] + tokenizer.encode("\n" + answer, parsingAddedTokens: false) + [endToken]
    }

    /// The text of a response's tokens: control and special tokens readable, stop tokens left out.
    public func text(of tokens: some Sequence<Int>) -> String { reader.text(of: tokens) }

    /// What a reward needs to know of the response with these ids, as sampled.
    public func query(_ problem: Problem, response: [Int]) -> RewardQuery {
        let form = ResponseForm(response, control: control, stopTokens: stopTokens)
        return RewardQuery(
            problem: problem, form: form, answerText: tokenizer.decode(response[form.answer]),
            responseText: text(of: response))
    }
}

/// A checkpoint that is whole but cannot be used for what was asked.
public struct UnusableCheckpoint: Error, CustomStringConvertible {
    public let path: String
    public let reason: String

    public var description: String { "\(path): \(reason)" }

    static func naming<Result>(_ file: CheckpointFile, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw UnusableCheckpoint(path: file.path, reason: "\(error)") }
    }
}
