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
    private let source: [Unicode.Scalar]
    private let statements: [TemplateStatement]

    /// Longer than any published template by far.
    static let maximumLength = 1 << 20

    /// - Throws: `TemplateError`.
    public init(_ source: String) throws {
        guard source.utf8.count <= Self.maximumLength else {
            throw TemplateError(
                kind: .limit, reason: "a template of more than \(Self.maximumLength >> 20) MiB", line: 1, column: 1)
        }
        self.source = TemplateLexer.normalized(source)
        do {
            statements = try TemplateParser.parse(self.source)
        } catch let fault as TemplateFault {
            throw fault.error(in: self.source)
        }
    }

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
        // As transformers calls a template: there, and none unless given.
        var values: [String: TemplateValue] = ["tools": .none, "documents": .none]
        for (name, value) in variables { values[name] = TemplateValue(value) }
        values["messages"] = .list(messages.map { TemplateValue(Self.prepared($0)) })
        values["add_generation_prompt"] = .bool(addGenerationPrompt)
        do {
            return try TemplateEvaluator.render(statements, variables: values)
        } catch let fault as TemplateFault {
            throw fault.error(in: source)
        }
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
