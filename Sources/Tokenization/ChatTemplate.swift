import Jinja
import OrderedJSON

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// `system`, `user`, `assistant`, or another role that the template supports.
    public var role: String
    /// The text of the turn.
    public var content: String

    /// Creates a message.
    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// A model's chat template, rendered as transformers' `apply_chat_template` does.
///
/// See `Template` for the language and its limits.
public struct ChatTemplate: Sendable {
    private let template: Template

    /// Parses and checks a template.
    ///
    /// - Throws: `TemplateError` with the line and column of an unsupported construct.
    public init(_ source: String) throws { template = try Template(source) }

    /// Renders the prompt for a conversation.
    ///
    /// - Parameters:
    ///   - messages: the conversation, oldest first.
    ///   - addGenerationPrompt: whether to append the header of the assistant's turn.
    ///   - variables: further variables, such as `bos_token`, `tools` or `enable_thinking`. `tools` and `documents`
    ///     default to none; all others are undefined if missing.
    /// - Returns: the prompt.
    /// - Throws: `TemplateError`, including when the template calls `raise_exception`.
    public func render(
        _ messages: [ChatMessage], addGenerationPrompt: Bool, variables: [String: JSON] = [:]
    ) throws -> String {
        let records = messages.map { message -> JSON in
            ["role": .string(message.role), "content": .string(message.content)]
        }
        return try render(records: records, addGenerationPrompt: addGenerationPrompt, variables: variables)
    }

    /// Renders messages that have more members than role and content (`tool_calls`, `reasoning_content`).
    ///
    /// - Parameters:
    ///   - messages: the conversation, oldest first; one JSON object per message.
    ///   - addGenerationPrompt: whether to append the header of the assistant's turn.
    ///   - variables: further variables; see `render(_:addGenerationPrompt:variables:)`.
    /// - Returns: the prompt.
    /// - Throws: `TemplateError`, including when the template calls `raise_exception`.
    public func render(
        records messages: [JSON], addGenerationPrompt: Bool, variables: [String: JSON] = [:]
    ) throws -> String {
        var values: [String: JSON] = ["tools": .null, "documents": .null]
        values.merge(variables) { $1 }
        values["messages"] = .array(messages.map { Self.prepared($0) })
        values["add_generation_prompt"] = .bool(addGenerationPrompt)
        return try template.render(values)
    }

    /// Prepares a message as transformers does.
    ///
    /// Null members are dropped, and the reasoning is available as both `thinking` and `reasoning_content`.
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
