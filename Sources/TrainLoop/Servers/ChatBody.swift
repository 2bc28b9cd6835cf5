import OrderedJSON

/// What the body of a reply with status 200 says.
///
/// It is read in the forms of OpenAI, vLLM, SGLang, DeepSeek, Mistral and llama.cpp, whole or as a stream.
package enum ChatBody: Sendable, Equatable {
    case reply(ModelReply)
    /// The server failed; with the status that stands in the body, if one does.
    case failed(String, status: Int?)
    /// The body is something else.
    case noCompletion(String)

    /// Reads a body.
    package init(_ body: [UInt8]) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let body = body.starts(with: mark) ? Array(body.dropFirst(mark.count)) : body
        var parts = ChatParts()
        var isOver = true
        let start = body.first { !$0.isASCIISpace }
        if start == UInt8(ascii: "{") || start == UInt8(ascii: "[") {
            if let json = try? JSON.parse(body) { parts.add(json) }
        } else {
            isOver = parts.addEvents(of: body)
        }
        if !parts.hasMessage, parts.failure == nil {
            self = .noCompletion(ServerMessage.text(of: body))
        } else if !isOver, parts.failure == nil {
            self = .failed("the stream ended before the answer did", status: nil)
        } else {
            self = parts.body
        }
    }
}

/// What the parts of a completion add up to.
private struct ChatParts {
    var answer = ModelAnswer(text: "")
    var refusal = ""
    /// The reason why the answer ended, in lower case.
    private var finish: String?
    var hasMessage = false
    var failure: (text: String, status: Int?)?

    /// Adds the events of a stream, and returns whether it is whole.
    mutating func addEvents(of stream: [UInt8]) -> Bool {
        var isOver = false
        EventStream.forEachEvent(in: stream) { name, data in
            if data.elementsEqual("[DONE]".utf8) {
                isOver = true
            } else if let json = try? JSON.parse(Array(data)) {
                add(json, isError: name == "error")
            } else {
                let isText = name == "error"
                let text = isText ? String(decoding: data, as: UTF8.self) : "an event of the stream is not JSON"
                failure = failure ?? (text, nil)
            }
        }
        return isOver || finish != nil
    }

    /// Adds a whole completion or a chunk of one.
    mutating func add(_ json: JSON, isError: Bool = false) {
        if let count = (json["usage"]?["completion_tokens"] ?? json["usage"]?["output_tokens"])?.int {
            answer.tokenCount = count
        }
        if let count = (json["usage"]?["prompt_tokens"] ?? json["usage"]?["input_tokens"])?.int {
            answer.promptTokenCount = count
        }
        if let choice = json["choices"]?.array?.first(where: { $0["index"]?.int ?? 0 == 0 }) {
            // A choice without a message is not one; the end of a stream may have an empty delta or none.
            if let message = [choice["message"], choice["delta"]].compactMap({ $0 }).first(where: { $0.object != nil })
            {
                hasMessage = true
                add(message: message)
            }
            if answer.firstToken == nil { answer.firstToken = FirstToken(choice["logprobs"]) }
            note(finish: choice)
        } else if isError || ServerMessage.isError(json) {
            failure = failure ?? (ServerMessage.text(of: json) ?? json.serialized(), ServerMessage.status(in: json))
        }
    }

    private mutating func note(finish choice: JSON) {
        let reason = choice["finish_reason"] ?? .null
        if let text = reason.string ?? reason["type"]?.string, !text.isEmpty { finish = text.lowercased() }
    }

    private mutating func add(message: JSON) {
        add(content: message["content"])
        let keys = ["reasoning_content", "reasoning", "thinking", "reasoning_details"]
        for key in keys {
            let text = Self.text(of: message[key])
            guard !text.isEmpty else { continue }
            answer.reasoning = (answer.reasoning ?? "") + text
            break
        }
        refusal += message["refusal"]?.string ?? ""
    }

    /// Adds a text, or a list of parts, among which may be thinking.
    private mutating func add(content: JSON?) {
        guard let parts = content?.array else {
            answer.text += content?.string ?? ""
            return
        }
        for part in parts {
            switch part["type"]?.string {
            case "thinking", "reasoning", "reasoning_content":
                answer.reasoning = (answer.reasoning ?? "") + Self.text(of: part)
            case "refusal": refusal += part["refusal"]?.string ?? ""
            default: answer.text += Self.text(of: part)
            }
        }
    }

    /// The text in a value: a text, a part with one, or a list of these.
    private static func text(of value: JSON?, depth: Int = 0) -> String {
        guard let value, depth < 8 else { return "" }
        if let text = value.string { return text }
        if let parts = value.array { return parts.map { text(of: $0, depth: depth + 1) }.joined() }
        for key in ["text", "thinking", "reasoning", "content", "summary"] {
            let inner = text(of: value[key], depth: depth + 1)
            if !inner.isEmpty { return inner }
        }
        return ""
    }

    private static let truncated: Set = [
        "length", "max_tokens", "max_output_tokens", "max_length", "model_length", "repetition",
    ]
    private static let filtered: Set = [
        "content_filter", "safety", "sensitive", "recitation", "blocklist", "prohibited_content", "refusal",
    ]
    private static let broken: Set = [
        "error", "abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "network_error",
    ]
    private static let calls: Set = ["tool_calls", "function_call", "tool_use"]

    var body: ChatBody {
        if let failure { return .failed(failure.text, status: failure.status) }
        let finish = finish ?? ""
        if Self.broken.contains(finish) { return .failed("the server ended the answer (\(finish))", status: nil) }
        if Self.filtered.contains(finish) {
            return .reply(.refused(reason: "stopped by the server's content filter"))
        }
        if answer.text.isEmpty, !refusal.isEmpty { return .reply(.refused(reason: refusal)) }
        if answer.text.isEmpty, Self.calls.contains(finish) {
            return .reply(.refused(reason: "the model calls a tool"))
        }
        var answer = answer
        answer.isTruncated = Self.truncated.contains(finish)
        return .reply(.answer(answer))
    }
}
