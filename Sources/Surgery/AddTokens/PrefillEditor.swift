import OrderedJSON
import Tokenization

/// Finds and removes control tokens that a chat template prefills at the start of the answer.
///
/// The templates of some reasoning models end the generation prompt with `<think>` or with an empty thought, so the
/// model cannot choose a mode.
struct PrefillEditor {
    let source: String
    /// Template variables such as `bos_token`.
    let variables: [String: JSON]

    /// One user message, the form of all prompts in training and evaluation.
    private static let question = [ChatMessage(role: "user", content: "What is 2 + 3?")]
    private static let finishedTurn = question + [ChatMessage(role: "assistant", content: "It is 5.")]
    private static let dialogue = [
        ChatMessage(role: "user", content: "What is 2 + 3?"), ChatMessage(role: "assistant", content: "It is 5."),
        ChatMessage(role: "user", content: "And 2 + 4?"),
    ]

    /// What a template puts after the header of the assistant's turn.
    struct Prefill: Equatable {
        /// The prompt up to the end of the header.
        let header: [UInt8]
        let text: [UInt8]
    }

    /// What stands after the assistant's header in the generation prompt, if that contains one of the tokens.
    ///
    /// The header ends where the answer of a finished turn would start, and before the first of the tokens.
    func prefill(among tokens: [String]) throws -> Prefill? {
        try Self.prefill(among: tokens, try prompt(of: source), source, variables)
    }

    private static func prefill(
        among tokens: [String], _ prompt: [UInt8], _ source: String, _ variables: [String: JSON]
    ) throws -> Prefill? {
        let turnStart = lastRange(of: Array(question[0].content.utf8), in: prompt[...])?.upperBound ?? 0
        let first = tokens.compactMap { firstRange(of: Array($0.utf8), in: prompt[turnStart...])?.lowerBound }.min()
        guard let first else { return nil }
        var end = first
        // Some templates put an empty thought into a finished turn, too.
        if let turn = try? Self.render(source, finishedTurn, false, variables) {
            let common = zip(prompt, turn).prefix { $0 == $1 }.count
            if common >= turnStart, turn[common...].starts(with: finishedTurn[1].content.utf8) {
                end = min(first, common)
            }
        }
        return Prefill(header: Array(prompt[..<end]), text: Array(prompt[end...]))
    }

    private func prompt(of source: String) throws -> [UInt8] {
        try Self.render(source, Self.question, true, variables)
    }

    private static func render(
        _ source: String, _ messages: [ChatMessage], _ generation: Bool, _ variables: [String: JSON]
    ) throws -> [UInt8] {
        Array(try ChatTemplate(source).render(messages, addGenerationPrompt: generation, variables: variables).utf8)
    }

    /// Removes the prefill from the template, also from its variants with thinking switched on and off.
    ///
    /// Pieces of the source are removed. An edit is accepted if the generation prompt then ends with the header and
    /// finished dialogues render as before.
    ///
    /// - Returns: the new source, or nil if no such edit is found.
    /// - Throws: `TemplateError` if the original template does not render.
    func removingPrefill(among tokens: [String]) throws -> String? {
        guard let prefill = try prefill(among: tokens) else { return source }
        var search = PrefillSearch(variables: variables)
        guard var edited = try search.removing(prefill.text, after: prefill.header, from: source) else { return nil }
        for thinks in [false, true] {
            var variables = variables
            variables["enable_thinking"] = .bool(thinks)
            guard let prompt = try? Self.render(edited, Self.question, true, variables),
                let prefill = try Self.prefill(among: tokens, prompt, edited, variables)
            else { continue }
            var search = PrefillSearch(variables: variables)
            // The variant that prompts use has to stay.
            if let better = try search.removing(prefill.text, after: prefill.header, from: edited),
                try self.prompt(of: better) == self.prompt(of: edited)
            {
                edited = better
            }
        }
        return edited
    }

    /// A search for the pieces of a template's source that make a prefill.
    private struct PrefillSearch {
        let variables: [String: JSON]
        /// Edits that may still be tried; each is a rendering.
        var budget = 400

        private static let maximumByteCount = 1000

        init(variables: [String: JSON]) { self.variables = variables }

        /// Removes `text`, which the prompt has after `header`, as one piece or as several from its start on.
        mutating func removing(_ text: [UInt8], after header: [UInt8], from source: String) throws -> String? {
            guard !text.isEmpty else { return source }
            guard text.count <= Self.maximumByteCount else { return nil }
            let closed = try PrefillEditor.render(source, PrefillEditor.dialogue, false, variables)
            let bytes = Array(source.utf8)
            for count in stride(from: text.count, to: 0, by: -1) {
                let piece = Array(text[..<count])
                let wanted = header + text[count...]
                for pattern in PrefillEditor.spellings(piece) {
                    var end = bytes.count
                    while let range = PrefillEditor.lastRange(of: pattern, in: bytes[..<end]) {
                        end = range.upperBound - 1
                        budget -= 1
                        guard budget > 0 else { return nil }
                        let edited = String(
                            decoding: bytes[..<range.lowerBound] + bytes[range.upperBound...], as: UTF8.self)
                        // An edit that no longer parses or renders is rejected like any other wrong one.
                        guard let prompt = try? PrefillEditor.render(edited, PrefillEditor.question, true, variables),
                            prompt == wanted,
                            let dialogue = try? PrefillEditor.render(edited, PrefillEditor.dialogue, false, variables),
                            dialogue == closed
                        else { continue }
                        if let done = try removing(Array(text[count...]), after: header, from: edited) { return done }
                    }
                }
            }
            return nil
        }
    }

    /// A text as it may stand in a template: verbatim, or with its line breaks escaped.
    private static func spellings(_ text: [UInt8]) -> [[UInt8]] {
        let escaped = text.flatMap { $0 == UInt8(ascii: "\n") ? Array("\\n".utf8) : [$0] }
        return escaped == text ? [text] : [escaped, text]
    }

    private static func firstRange(of pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
        guard let first = pattern.first, bytes.count >= pattern.count else { return nil }
        return (bytes.startIndex...bytes.endIndex - pattern.count).first {
            bytes[$0] == first && bytes[$0..<$0 + pattern.count].elementsEqual(pattern)
        }.map { $0..<$0 + pattern.count }
    }

    private static func lastRange(of pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
        guard let first = pattern.first, bytes.count >= pattern.count else { return nil }
        return (bytes.startIndex...bytes.endIndex - pattern.count).last {
            bytes[$0] == first && bytes[$0..<$0 + pattern.count].elementsEqual(pattern)
        }.map { $0..<$0 + pattern.count }
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
