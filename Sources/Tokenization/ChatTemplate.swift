import Jinja
import OrderedJSON

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// `system`, `user` or `assistant`; a template may know others.
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// A chat template of a model: Jinja as transformers renders it.
///
/// The template is checked as a whole when it is made: a tag, filter or test that this interpreter does not know is
/// refused then, with its line and column. Rendering is bounded in time, memory, depth and output, because templates
/// come with models from anywhere; it reads nothing but its arguments (and the clock, for `strftime_now`).
public struct ChatTemplate: Sendable {
    private let template: Template

    /// - Throws: `TemplateError`.
    public init(_ source: String) throws { template = try Template(source) }

    /// The prompt for a conversation.
    ///
    /// - Parameters:
    ///   - addGenerationPrompt: whether the prompt ends where the assistant is to speak.
    ///   - variables: further names, such as `bos_token`, `eos_token`, `tools` or `enable_thinking`. `tools` and
    ///     `documents` are none unless given, all others undefined.
    /// - Throws: `TemplateError`, also where the template calls `raise_exception`.
    public func render(
        _ messages: [ChatMessage], addGenerationPrompt: Bool, variables: [String: JSON] = [:]
    ) throws -> String {
        let records = messages.map { message -> JSON in
            ["role": .string(message.role), "content": .string(message.content)]
        }
        return try render(records: records, addGenerationPrompt: addGenerationPrompt, variables: variables)
    }

    /// As above, for messages with more than a role and a content (`tool_calls`, `reasoning_content`).
    public func render(
        records messages: [JSON], addGenerationPrompt: Bool, variables: [String: JSON] = [:]
    ) throws -> String {
        // transformers passes `tools` and `documents` to every template: none unless given.
        var values: [String: JSON] = ["tools": .null, "documents": .null]
        values.merge(variables) { $1 }
        values["messages"] = .array(messages.map { Self.prepared($0) })
        values["add_generation_prompt"] = .bool(addGenerationPrompt)
        return try template.render(values)
    }

    /// A message as transformers hands it to a template: members that are none are not there, and a thought under one
    /// of the names in use is there under the others that templates ask for too.
    private static func prepared(_ message: JSON) -> JSON {
        guard let members = message.object else { return message }
        var result = JSONObject()
        let thought = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap { members[$0] }
            .first { $0 != .null }
        if let thought { result["thinking"] = thought }
        for (name, value) in members where value != .null { result[name] = value }
        if let thought { result["reasoning_content"] = thought }
        return .object(result)
    }
}
