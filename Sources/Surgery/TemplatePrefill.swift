import OrderedJSON
import Tokenization

/// The part of a chat template that opens the answer: some reasoning models' templates put a `<think>` there, which
/// takes the choice of a mode away from the model.
struct TemplatePrefill {
    let source: String
    /// Values such as `bos_token` that templates expect.
    let variables: [String: JSON]

    /// One user message, as every prompt of the method is.
    private static let question = [ChatMessage(role: "user", content: "What is 2 + 3?")]
    private static let dialogue = [
        ChatMessage(role: "user", content: "What is 2 + 3?"), ChatMessage(role: "assistant", content: "It is 5."),
        ChatMessage(role: "user", content: "And 2 + 4?"),
    ]

    /// The control token that the generation prompt ends in, white space aside, or nil.
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

    /// The template without the prefilled token: one occurrence of it, with the line break behind it, is taken out of
    /// the source. The edit counts only if the generation prompt loses exactly that, and nothing else changes.
    ///
    /// - Returns: the new source, or nil where no single edit does it.
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
                // An edit may leave something that does not parse or render; then it is just not the right one.
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

    /// `bos_token`, `eos_token` and the like from tokenizer_config.json, whether written as text or as an object.
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
