import OrderedJSON
import Tokenization

/// A whole prompt as one text, by which prompts are compared and stored in the probe's table.
///
/// It is the user's message if that is all. A prompt with further turns is the JSON of its messages, and so is a
/// message that looks like such JSON.
enum PromptText {
    static func text(_ message: String, after context: [ChatMessage]) -> String {
        guard !context.isEmpty || messages(message) != nil else { return message }
        return json(context + [ChatMessage(role: "user", content: message)]).serialized()
    }

    /// The user's message and the turns before it.
    static func parts(_ text: String) -> (message: String, context: [ChatMessage]) {
        guard let messages = messages(text), let last = messages.last else { return (text, []) }
        return (last.content, messages.dropLast())
    }

    static func json(_ messages: [ChatMessage]) -> JSON {
        .array(messages.map { ["role": .string($0.role), "content": .string($0.content)] })
    }

    private static func messages(_ text: String) -> [ChatMessage]? {
        guard text.hasPrefix("[{\"role\":"), let elements = (try? JSON.parse(text))?.array else { return nil }
        let messages = elements.compactMap { element -> ChatMessage? in
            guard let role = element["role"]?.string, let content = element["content"]?.string else { return nil }
            return ChatMessage(role: role, content: content)
        }
        return messages.count == elements.count && messages.last?.role == "user" ? messages : nil
    }
}

extension Problem {
    /// The whole prompt as one text; equal for equal prompts.
    package var promptText: String { PromptText.text(problem, after: context) }

    /// The prompt as messages of a chat API, in which `message` stands for the user's.
    func messages(asking message: String) -> JSON {
        PromptText.json(context + [ChatMessage(role: "user", content: message)])
    }

    /// A problem whose prompt was stored as one text.
    package init(id: String, promptText: String, level: String? = nil) {
        let (message, context) = PromptText.parts(promptText)
        self.init(id: id, problem: message, level: level)
        self.context = context
    }
}

extension Pair {
    /// The whole prompt as one text; equal for equal prompts.
    var promptText: String { PromptText.text(problem, after: context) }
}
