import OrderedJSON
import Tokenization

/// The prompt of a row.
struct RowPrompt {
    /// The turns before the user's message.
    var context: [ChatMessage] = []
    var user: String
}

extension DataRow {
    /// The prompt in any of the known forms; docs/data.md lists them.
    ///
    /// - Throws: `DataFileError` if there is none, it is empty, or it has a part that is not read.
    func prompt() throws -> RowPrompt {
        var prompt = try writtenPrompt()
        guard prompt.user.contains(where: { !$0.isWhitespace }) else { throw error("the problem is empty") }
        if let system = try text(anyOf: ["system", "system_prompt"]), !system.trimmed.isEmpty,
            prompt.context.first?.role != "system"
        {
            prompt.context.insert(ChatMessage(role: "system", content: system), at: 0)
        }
        return prompt
    }

    private func writtenPrompt() throws -> RowPrompt {
        for key in ["problem", "question", "Problem"] {
            guard let value = self[key] else { continue }
            if let messages = value.array { return try ChatRecord.prompt(messages, of: self) }
            if let text = try text(key) { return RowPrompt(user: try joined(text, "input", only: key == "problem")) }
        }
        if let instruction = try text("instruction") {
            return RowPrompt(context: try history(), user: try joined(instruction, "input", only: true))
        }
        if let value = self["prompt"] {
            if let messages = value.array { return try ChatRecord.prompt(messages, of: self) }
            if let text = try text("prompt") { return RowPrompt(user: text) }
        }
        guard let turns = try dialogue() else {
            throw error("no problem found; give \"problem\", \"question\" or \"prompt\", or name its field with --map")
        }
        return try ChatRecord.prompt(turns, of: self)
    }

    /// The messages of a recorded dialogue.
    func dialogue() throws -> [JSON]? {
        for key in ["messages", "conversations", "conversation"] {
            guard let value = self[key] else { continue }
            guard let messages = value.array else {
                throw error("\"\(key)\" is \(value.kindName); it must be a list of messages")
            }
            return messages
        }
        return nil
    }

    /// The text, followed by Alpaca's input.
    private func joined(_ text: String, _ key: String, only isRead: Bool) throws -> String {
        guard isRead, let input = try self.text(key), !input.isEmpty else { return text }
        return text + "\n" + input
    }

    /// Earlier exchanges of an Alpaca row: pairs of a question and an answer.
    private func history() throws -> [ChatMessage] {
        try (self["history"]?.array ?? []).flatMap { exchange in
            guard let texts = exchange.array?.compactMap(\.string), texts.count == 2 else {
                throw error("\"history\" must be a list of pairs of texts")
            }
            return [ChatMessage(role: "user", content: texts[0]), ChatMessage(role: "assistant", content: texts[1])]
        }
    }
}

/// The answer of a row that has one response.
struct RowResponse {
    var text: String
    /// The thinking, if it is stored apart from the answer.
    var reasoning: String?
}

extension DataRow {
    /// The response in any of the known forms; nil if there is none.
    ///
    /// - Throws: `DataFileError` if it has a part that is not read.
    func response() throws -> RowResponse? {
        if let solution = try text("deepseek_solution") {
            return RowResponse(text: solution, reasoning: try text("deepseek_reasoning"))
        }
        for key in ["response", "output", "completion", "generation"] {
            guard let value = self[key] else { continue }
            if let messages = value.array {
                let turn = try ChatRecord.completion(messages, of: self)
                return RowResponse(text: turn.content, reasoning: turn.reasoning)
            }
            guard let text = value.string else {
                throw error("\"\(key)\" is \(value.kindName); it must be a text or a list of messages")
            }
            let reasoning = try self.text(anyOf: ["reasoning", "reasoning_content", "thinking"])
            return RowResponse(text: text, reasoning: reasoning)
        }
        guard let turns = try dialogue() else { return nil }
        let exchange = try ChatRecord.exchange(turns, of: self)
        return RowResponse(text: exchange.assistant, reasoning: exchange.reasoning)
    }
}
