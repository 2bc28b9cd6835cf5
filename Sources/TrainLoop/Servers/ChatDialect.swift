import OrderedJSON

/// The members of a request that not all servers take.
package struct ChatDialect: Sendable, Equatable {
    /// Whether the answer is asked for as a stream.
    package private(set) var streams = true
    private var hasStreamOptions = true
    private var tokenLimit = "max_tokens"
    private var hasChangedStreaming = false

    package init() {}

    /// The body of a request; members of `extra` override the others, and those that are null are left out.
    package func body(_ members: JSONObject, model: String, extra: JSONObject) -> JSON {
        var body = JSONObject([("model", .string(model))])
        for (key, value) in members { body[key == "max_tokens" ? tokenLimit : key] = value }
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
        } else {
            return false
        }
        return true
    }
}
