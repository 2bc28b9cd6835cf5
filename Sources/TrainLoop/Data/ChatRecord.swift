import OrderedJSON

/// Dialogues in data files: lists of `{"role", "content"}` or, in ShareGPT's form, of `{"from", "value"}`.
///
/// Training and sampling use one user message and one answer, so longer dialogues are refused instead of being cut
/// silently.
enum ChatRecord {
    /// The only user message of a prompt.
    static func userText(_ messages: [JSON], of row: DataRow) throws -> String {
        try onlyMessage(messages, role: "user", part: "prompt", row)
    }

    /// The only assistant message of a completion.
    static func assistantText(_ messages: [JSON], of row: DataRow) throws -> String {
        try onlyMessage(messages, role: "assistant", part: "completion", row)
    }

    private static func onlyMessage(_ messages: [JSON], role: String, part: String, _ row: DataRow) throws -> String {
        let turns = try turns(messages, of: row)
        guard turns.count == 1, turns[0].role == role else {
            throw row.error("the \(part) must be one \(role) message; the roles are \(roles(turns))")
        }
        return turns[0].content
    }

    /// The two messages of a dialogue; `reasoning` is set if the thinking is stored apart from the answer.
    static func exchange(
        _ messages: [JSON], of row: DataRow
    ) throws -> (user: String, assistant: String, reasoning: String?) {
        let turns = try turns(messages, of: row)
        guard turns.count == 2, turns[0].role == "user", turns[1].role == "assistant" else {
            throw row.error("the messages must be one user and one assistant message; the roles are \(roles(turns))")
        }
        let reasoning = messages[1]["reasoning_content"] ?? messages[1]["reasoning"]
        return (turns[0].content, turns[1].content, reasoning?.string)
    }

    private static func turns(_ messages: [JSON], of row: DataRow) throws -> [(role: String, content: String)] {
        try messages.map { message in
            guard let role = (message["role"] ?? message["from"])?.string,
                let content = (message["content"] ?? message["value"])?.string
            else { throw row.error("a message needs \"role\" and \"content\" as strings") }
            return (["human": "user", "gpt": "assistant"][role] ?? role, content)
        }
    }

    private static func roles(_ turns: [(role: String, content: String)]) -> String {
        let names = turns.prefix(4).map { String($0.role.prefix(20)) } + (turns.count > 4 ? ["…"] : [])
        return names.isEmpty ? "none" : names.joined(separator: ", ")
    }
}
