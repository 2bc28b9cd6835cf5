import HTTP
import OrderedJSON
import Testing
import TrainLoop

@Suite struct ChatBodyTests {
    private func answer(_ body: String) -> ModelAnswer? {
        if case .reply(.answer(let answer)) = ChatBody(Array(body.utf8)) { answer } else { nil }
    }

    private func message(_ message: String, finish: String = "\"stop\"", usage: String = "") -> String {
        #"{"choices":[{"index":0,"message":\#(message),"finish_reason":\#(finish)}]\#(usage)}"#
    }

    @Test func formsOfMessages() {
        let expected = ModelAnswer(text: "a", reasoning: "w")
        for text in [
            // DeepSeek, vLLM, SGLang and llama.cpp; vLLM since 0.11, OpenRouter; both members while they change.
            #"{"role":"assistant","reasoning_content":"w","content":"a"}"#, #"{"content":"a","reasoning":"w"}"#,
            #"{"content":"a","reasoning_content":null,"reasoning":"w"}"#,
            #"{"content":"a","reasoning_content":"w","reasoning":"w","tool_calls":[]}"#,
            #"{"content":"a","reasoning_details":[{"type":"reasoning.text","text":"w"}]}"#,
            // Mistral.
            #"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"w"}]},{"type":"text","text":"a"}]}"#,
            #"{"content":[{"type":"thinking","thinking":"w"},{"type":"output_text","text":"a"}]}"#,
        ] {
            #expect(answer(message(text)) == expected, "\(text)")
        }
        #expect(answer(message(#"{"content":"a","reasoning_content":""}"#)) == ModelAnswer(text: "a"))
        #expect(answer(message(#"{"content":null,"reasoning":"w"}"#)) == ModelAnswer(text: "", reasoning: "w"))
        #expect(answer(message(#"{"content":["a","b"]}"#))?.text == "ab")
        #expect(answer("\u{FEFF}\n\n" + message(#"{"content":"a"}"#))?.text == "a")
    }

    @Test func endsAndCounts() {
        for finish in ["length", "max_tokens", "model_length", "MAX_TOKENS"] {
            #expect(answer(message(#"{"content":"a"}"#, finish: "\"\(finish)\""))?.isTruncated == true, "\(finish)")
        }
        for finish in ["\"stop\"", "\"eos\"", "\"end_turn\"", "null", "\"COMPLETE\""] {
            #expect(answer(message(#"{"content":"a"}"#, finish: finish))?.isTruncated == false, "\(finish)")
        }
        #expect(answer(message(#"{"content":"a"}"#, finish: #"{"type":"length"}"#))?.isTruncated == true)
        #expect(answer(message(#"{"content":"a"}"#, usage: #","usage":{"completion_tokens":7}"#))?.tokenCount == 7)
        #expect(answer(message(#"{"content":"a"}"#, usage: #","usage":null"#)) == ModelAnswer(text: "a"))
        func refusal(_ text: String) -> String? {
            if case .reply(.refused(let reason)) = ChatBody(Array(text.utf8)) { reason } else { nil }
        }
        #expect(refusal(message(#"{"content":"a"}"#, finish: "\"content_filter\""))?.contains("filter") == true)
        #expect(refusal(message(#"{"content":null,"refusal":"no"}"#)) == "no")
        #expect(refusal(message(#"{"content":null,"tool_calls":[{}]}"#, finish: "\"tool_calls\"")) != nil)
        for finish in ["error", "abort", "insufficient_system_resource"] {
            guard case .failed = ChatBody(Array(message(#"{"content":"a"}"#, finish: "\"\(finish)\"").utf8)) else {
                Issue.record("\(finish)")
                continue
            }
        }
    }

    @Test func formsOfErrors() {
        for (text, message, status) in [
            (#"{"error":{"message":"m","type":"t","code":429}}"#, "m", 429), (#"{"error":"m"}"#, "m", nil),
            (#"{"object":"error","message":"m","code":400}"#, "m", 400),
            (#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#, "m", 503),
            (#"{"error":{"message":{"detail":"m"},"code":"rate_limit"}}"#, "m", nil),
        ] as [(String, String, Int?)] {
            #expect(ChatBody(Array(text.utf8)) == .failed(message, status: status), "\(text)")
        }
        for text in ["", "{}", "[]", "<html>", #"{"choices":[]}"#, #"{"choices":[{"text":"a"}]}"#, "{\"choices\":"] {
            guard case .noCompletion = ChatBody(Array(text.utf8)) else {
                Issue.record("\(text)")
                continue
            }
        }
    }

    private func event(_ delta: String, finish: String = "null", index: Int = 0) -> String {
        #"data: {"choices":[{"index":\#(index),"delta":\#(delta),"finish_reason":\#(finish)}]}"# + "\n\n"
    }

    @Test func streams() {
        let start =
            ": comment\n\n" + event(#"{"role":"assistant","content":""}"#) + event(#"{"reasoning_content":"w"}"#)
            + event(#"{"content":"other"}"#, index: 1) + event(#"{"content":"aé"}"#)
            + event(#"{"content":[{"text":"b"}]}"#)
        let whole = ModelAnswer(text: "aéb", reasoning: "w")
        #expect(answer(start + event("{}", finish: "\"stop\"")) == whole)
        #expect(answer(start + "data: [DONE]") == whole)
        #expect(answer((start + "data:[DONE]\n\n").replacing("\n", with: "\r\n")) == whole)
        #expect(answer((start + "data: [DONE]\n\n").replacing("\n", with: "\r")) == whole)
        let count = #"data: {"choices":[],"usage":{"completion_tokens":9}}"# + "\n\n"
        #expect(answer(start + event("{}", finish: "\"length\"") + count)?.tokenCount == 9)
        #expect(answer(start + event("{}", finish: "\"length\""))?.isTruncated == true)
        for (end, message) in [
            ("", "the stream ended before the answer did"),
            ("data: {\"choices\":\n\n", "an event of the stream is not JSON"),
            (#"data: {"error":{"message":"m","code":500}}"# + "\n\n", "m"), (#"error: {"message":"m"}"# + "\n\n", "m"),
            ("event: error\ndata: {\"message\":\"m\"}\n\n", "m"),
        ] {
            guard case .failed(message, _) = ChatBody(Array((start + end).utf8)) else {
                Issue.record("\(end): \(ChatBody(Array((start + end).utf8)))")
                continue
            }
        }
    }

    @Test func dialects() {
        var dialect = ChatDialect()
        let members = JSONObject([("max_tokens", 5), ("seed", 1)])
        func body() -> String {
            dialect.body(members, model: "m", extra: JSONObject([("seed", .null), ("top_k", 2)])).serialized()
        }
        #expect(
            body()
                == #"{"model":"m","max_tokens":5,"stream":true,"stream_options":{"include_usage":true},"top_k":2}"#)
        var changes = [dialect.adapt(toRefusal: "body.stream_options: Extra inputs are not permitted")]
        #expect(body() == #"{"model":"m","max_tokens":5,"stream":true,"top_k":2}"#)
        changes.append(dialect.adapt(toRefusal: "Use 'max_completion_tokens' instead"))
        changes.append(dialect.adapt(toRefusal: "Streaming is not supported"))
        #expect(changes == [true, true, true])
        #expect(body() == #"{"model":"m","max_completion_tokens":5,"top_k":2}"#)
        // No member changes twice.
        for message in ["stream", "stream_options", "max_completion_tokens", "the prompt is too long"] {
            let isChanged = dialect.adapt(toRefusal: message)
            #expect(!isChanged, "\(message)")
        }
    }
}

@Suite struct ServerAddressTests {
    @Test func hosts() {
        for (url, host) in [
            ("http://a.b:80/v1", "a.b"), ("HTTPS://[::1]:8000", "::1"), ("http://u:p@h/x", "h"), ("http://h?x", "h"),
            ("http://", nil), ("http://:80", nil), ("ftp://h", nil), ("http://a b", nil), ("http://[::1", nil),
            ("h", nil),
        ] as [(String, String?)] {
            #expect(HTTPHost.name(in: url) == host, "\(url)")
        }
        let own = ["localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.9.8.7", "::1", "0:0:0:0:0:0:0:1"]
        for host in own + ["::ffff:127.0.0.1"] {
            #expect(HTTPHost.isLoopback(host), "\(host)")
        }
        for host in ["localhost.example", "128.0.0.1", "127.example", "::2", "::ffff:10.0.0.1", "10.0.0.1", ""] {
            #expect(!HTTPHost.isLoopback(host), "\(host)")
        }
    }

    @Test func aKeyHasNoControlCharacter() {
        let flags = ServerFlags(key: "--key", model: "--model", extra: "--extra")
        #expect(throws: OptionError.self) {
            try ServerAddress("http://h/v1", key: "a\r\nX: y", flags: flags)
        }
        #expect(throws: Never.self) { try ServerAddress("http://h/v1", key: "key\n", flags: flags) }
    }
}
