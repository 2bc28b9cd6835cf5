import OrderedJSON
import Tokenization

/// Finds and removes a control token that a chat template prefills at the start of the answer.
///
/// The templates of some reasoning models end the generation prompt with `<think>`, so the model cannot choose a mode.
struct PrefillEditor {
    let source: String
    /// Template variables such as `bos_token`.
    let variables: [String: JSON]

    /// One user message, the form of all prompts in training and evaluation.
    private static let question = [ChatMessage(role: "user", content: "What is 2 + 3?")]
    private static let dialogue = [
        ChatMessage(role: "user", content: "What is 2 + 3?"), ChatMessage(role: "assistant", content: "It is 5."),
        ChatMessage(role: "user", content: "And 2 + 4?"),
    ]

    /// The control token at the end of the generation prompt, ignoring white space, or nil.
    func prefilledToken(among tokens: [String]) throws -> String? {
        Self.prefilledToken(try generationPrompt(source), among: tokens)
    }

    private static func prefilledToken(_ prompt: String, among tokens: [String]) -> String? {
        let prompt = trimmingTrailingSpace(prompt)
        return tokens.filter { prompt.hasSuffix($0) }.max { $0.utf8.count < $1.utf8.count }
    }

    private static func trimmingTrailingSpace(_ text: String) -> String {
        var scalars = text.unicodeScalars[...]
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return String(scalars)
    }

    private func generationPrompt(_ source: String) throws -> String {
        try ChatTemplate(source).render(Self.question, addGenerationPrompt: true, variables: variables)
    }

    /// Removes the prefilled token from the template.
    ///
    /// One occurrence in the source is removed, with the line breaks after it. The edit is accepted if the generation
    /// prompt loses exactly the token and a closed dialogue renders as before.
    ///
    /// - Returns: the new source, or nil if no single edit suffices.
    /// - Throws: `TemplateError` if the original template does not render.
    func removing(_ token: String) throws -> String? {
        let before = try generationPrompt(source)
        let closed = try ChatTemplate(source).render(Self.dialogue, addGenerationPrompt: false, variables: variables)
        var wanted = Self.trimmingTrailingSpace(before)
        wanted.removeLast(token.count)
        let bytes = Array(source.utf8)
        let pattern = Array(token.utf8)
        guard bytes.count >= pattern.count else { return nil }
        for start in stride(from: bytes.count - pattern.count, through: 0, by: -1) {
            guard bytes[start..<start + pattern.count].elementsEqual(pattern) else { continue }
            for ending in ["\\n\\n", "\\n", "\n", ""] {
                let tail = Array(ending.utf8)
                let end = start + pattern.count + tail.count
                guard end <= bytes.count, bytes[start + pattern.count..<end].elementsEqual(tail) else { continue }
                let edited = String(decoding: bytes[..<start] + bytes[end...], as: UTF8.self)
                // An edit that no longer parses or renders is rejected like any other wrong one.
                guard let after = try? generationPrompt(edited), after == wanted,
                    let dialogue = try? ChatTemplate(edited).render(
                        Self.dialogue, addGenerationPrompt: false, variables: variables),
                    dialogue == closed
                else { continue }
                return edited
            }
        }
        return nil
    }

    /// `bos_token`, `eos_token`, `pad_token` and `unk_token` from tokenizer_config.json, as strings or objects.
    static func variables(tokenizerConfig: JSON?) -> [String: JSON] {
        var variables: [String: JSON] = [:]
        for name in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            if let text = tokenizerConfig?[name]?.string ?? tokenizerConfig?[name]?["content"]?.string {
                variables[name] = .string(text)
            }
        }
        return variables
    }
}
