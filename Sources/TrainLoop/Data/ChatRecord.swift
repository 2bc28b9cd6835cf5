import OrderedJSON
import Tokenization

/// Dialogues in data files, in the forms of chat APIs and data sets.
///
/// A message is `{"role", "content"}` or, in ShareGPT's form, `{"from", "value"}`; its content is a text or a list of
/// parts. Training and sampling use one answer: the turns before it are the prompt, of which the last is the user's.
enum ChatRecord {
    /// A message with the thinking that an API puts beside its text.
    struct Turn {
        var message: ChatMessage
        var reasoning: String?

        var role: String { message.role }
        var content: String { message.content }
    }

    /// A prompt and the answer to it.
    struct Exchange {
        var prompt: RowPrompt
        var assistant: String
        /// The thinking, if it is stored apart from the answer.
        var reasoning: String?

        var user: String { prompt.user }
    }

    private static let roles = [
        "human": "user", "User": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
        "model": "assistant", "Assistant": "assistant", "developer": "system",
    ]

    /// The prompt of a list of messages; an answer at its end is left out.
    static func prompt(_ messages: [JSON], of row: DataRow) throws -> RowPrompt {
        var turns = try turns(messages, of: row)
        if turns.last?.role == "assistant" { turns.removeLast() }
        return try prompt(turns, of: row)
    }

    /// The only assistant message of a completion.
    static func completion(_ messages: [JSON], of row: DataRow) throws -> Turn {
        let turns = try turns(messages, of: row)
        guard turns.count == 1, turns[0].role == "assistant" else {
            throw row.error("the completion must be one assistant message; the roles are \(names(turns))")
        }
        return turns[0]
    }

    /// The prompt and the answer of a dialogue that ends with an answer.
    static func exchange(_ messages: [JSON], of row: DataRow) throws -> Exchange {
        var turns = try turns(messages, of: row)
        guard let last = turns.popLast(), last.role == "assistant" else {
            let all = names(try self.turns(messages, of: row))
            throw row.error("the messages must end with an assistant message; the roles are \(all)")
        }
        return Exchange(prompt: try prompt(turns, of: row), assistant: last.content, reasoning: last.reasoning)
    }

    private static func prompt(_ turns: [Turn], of row: DataRow) throws -> RowPrompt {
        guard let last = turns.last, last.role == "user" else {
            throw row.error("the prompt must end with a user message; the roles are \(names(turns))")
        }
        return RowPrompt(context: turns.dropLast().map(\.message), user: last.content)
    }

    private static func turns(_ messages: [JSON], of row: DataRow) throws -> [Turn] {
        try messages.map { message in
            guard let name = (message["role"] ?? message["from"])?.string,
                let content = message["content"] ?? message["value"] ?? message["text"]
            else { throw row.error("a message needs \"role\" and \"content\" as strings") }
            let role = roles[name] ?? name
            guard ["system", "user", "assistant"].contains(role) else {
                throw row.error("messages of the role \"\(name.onOneLine(limit: 40))\" are not read")
            }
            if let calls = message["tool_calls"], !calls.isNull, calls.array?.isEmpty != true {
                throw row.error("\"tool_calls\" of a message are not read")
            }
            var turn = Turn(message: ChatMessage(role: role, content: ""))
            turn.reasoning = ["reasoning_content", "reasoning", "thinking"].lazy.compactMap { message[$0]?.string }
                .first { !$0.isEmpty }
            try read(content, into: &turn, row)
            return turn
        }
    }

    private static func read(_ content: JSON, into turn: inout Turn, _ row: DataRow) throws {
        guard let parts = content.array else {
            guard let text = content.string else {
                throw row.error("a message needs \"role\" and \"content\" as strings")
            }
            turn.message.content = text
            return
        }
        for part in parts {
            if let text = part.string {
                turn.message.content += text
                continue
            }
            let type = part["type"]?.string ?? "text"
            let text = part["text"]?.string ?? part["content"]?.string
            switch type {
            case "text", "input_text", "output_text":
                guard let text else { throw row.error("a part of a message has no \"text\"") }
                turn.message.content += text
            case "thinking", "reasoning":
                guard let thought = part["thinking"]?.string ?? text else {
                    throw row.error("a part of a message has no \"thinking\"")
                }
                turn.reasoning = (turn.reasoning ?? "") + thought
            default:
                throw row.error("parts of the type \"\(type.onOneLine(limit: 40))\" in a message are not read")
            }
        }
    }

    private static func names(_ turns: [Turn]) -> String {
        let names = turns.prefix(4).map(\.role) + (turns.count > 4 ? ["…"] : [])
        return names.isEmpty ? "none" : names.joined(separator: ", ")
    }
}
