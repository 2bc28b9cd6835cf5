import OrderedJSON

/// The members of a request that not all servers take.
package struct ChatDialect: Sendable, Equatable {
    /// Whether the answer is asked for as a stream.
    package private(set) var streams = true
    private var hasStreamOptions = true
    private var tokenLimit = "max_tokens"
    private var hasChangedStreaming = false
    /// Members that the server refused, which are left out.
    private var refused: Set<String> = []
    /// Members that requests can do without: those that OpenAI's API lacks, and log-probabilities.
    ///
    /// A refusal that names one of them leaves it out from then on.
    private static let dispensable = [
        "top_logprobs", "logprobs", "skip_special_tokens", "continue_final_message", "add_generation_prompt", "top_k",
        "min_p", "repetition_penalty",
    ]

    package init() {}

    /// The body of a request; members of `extra` override the others, and those that are null are left out.
    package func body(_ members: JSONObject, model: String, extra: JSONObject) -> JSON {
        var body = JSONObject([("model", .string(model))])
        for (key, value) in members where !refused.contains(key) {
            body[key == "max_tokens" ? tokenLimit : key] = value
        }
        if streams {
            body["stream"] = true
            if hasStreamOptions { body["stream_options"] = ["include_usage": true] }
        }
        for (key, value) in extra { body[key] = value.isNull ? nil : value }
        return .object(body)
    }

    /// Changes the member that the server's message complains about; false if there is none, or it was changed before.
    package mutating func adapt(toRefusal message: String) -> Bool {
        let message = message.lowercased()
        if message.contains("stream_options"), hasStreamOptions {
            hasStreamOptions = false
        } else if message.contains("max_completion_tokens"), tokenLimit == "max_tokens" {
            tokenLimit = "max_completion_tokens"
        } else if message.contains("stream"), !hasChangedStreaming {
            streams.toggle()
            hasChangedStreaming = true
        } else if let name = Self.dispensable.first(where: { message.contains($0) && !refused.contains($0) }) {
            refused.insert(name)
            // One of these is not valid without the other.
            if name.hasSuffix("logprobs") { refused.formUnion(["logprobs", "top_logprobs"]) }
        } else {
            return false
        }
        return true
    }
}
