import Foundation
import OrderedJSON

/// Why a reply cannot be a sample of its request.
package enum RolloutReplyError: Error, Equatable, CustomStringConvertible {
    /// The server gave the response up; another attempt may succeed.
    case aborted
    case noTokens(String)
    case notAToken(String, vocabularySize: Int)
    case tooMany(Int, maximum: Int)
    case counts(tokens: Int, logProbabilities: Int)
    case otherIDs
    case notALogProbability(String)
    case contextTooSmall(Int, maximum: Int)
    case otherTemperature(Double, wanted: Double)

    package var description: String {
        switch self {
        case .aborted: "the server gave the response up"
        case .noTokens(let remedy): "the reply has no token ids; \(remedy)"
        case .notAToken(let text, let size):
            "the reply has the token \(text), but ids of the model lie in 0..<\(size); the server has another tokenizer"
        case .tooMany(let count, let maximum): "the reply has \(count) tokens, but at most \(maximum) were asked for"
        case .counts(let tokens, let logProbabilities):
            "the reply has \(tokens) tokens and \(logProbabilities) log-probabilities"
        case .otherIDs: "the log-probabilities of the reply belong to other tokens than those it lists"
        case .notALogProbability(let text): "the reply has the log-probability \(text)"
        case .contextTooSmall(let count, let maximum):
            "the server ended a response after \(count) of \(maximum) tokens, so its context is too small; start it "
                + "with a longer one (vLLM --max-model-len, SGLang --context-length, llama-server -c for all slots)"
        case .otherTemperature(let found, let wanted):
            "the server sampled at temperature \(found) instead of \(wanted)"
        }
    }
}

/// A request for one response in the protocol of a kind of server, and the response in the reply.
package struct RolloutReply: Sendable {
    let kind: RolloutServer.Kind
    let request: TokenRequest

    package init(kind: RolloutServer.Kind, request: TokenRequest) {
        self.kind = kind
        self.request = request
    }

    package var path: String {
        switch kind {
        case .vLLM: "v1/completions"
        case .sglang: "generate"
        case .llama: "completion"
        }
    }

    /// The body of the request; every sampler but the temperature is off.
    package func body(model: String?) -> JSON {
        let prompt = JSON.array(request.prompt.map { .integer($0) })
        let stops = JSON.array(request.stopTokens.sorted().map { .integer($0) })
        let (count, temperature) = (JSON.integer(request.maximumTokens), JSON.double(request.temperature))
        switch kind {
        case .vLLM:
            return [
                "model": model.map { .string($0) } ?? .null, "prompt": prompt, "max_tokens": count,
                "temperature": temperature, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "presence_penalty": 0.0,
                "frequency_penalty": 0.0, "repetition_penalty": 1.0, "n": 1, "seed": .integer(request.seed),
                "stop_token_ids": stops, "logprobs": 0, "return_token_ids": true, "skip_special_tokens": false,
                "stream": false,
            ]
        case .sglang:
            return [
                "input_ids": prompt,
                "sampling_params": [
                    "max_new_tokens": count, "temperature": temperature, "top_p": 1.0, "top_k": -1, "min_p": 0.0,
                    "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0,
                    "stop_token_ids": stops, "no_stop_trim": true, "skip_special_tokens": false,
                ], "return_logprob": true, "logprob_start_len": -1, "top_logprobs_num": 0, "stream": false,
            ]
        case .llama:
            return [
                "prompt": prompt, "n_predict": count, "temperature": temperature, "samplers": ["temperature"],
                "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0,
                "presence_penalty": 0.0, "frequency_penalty": 0.0, "mirostat": 0, "seed": .integer(request.seed),
                "n_probs": 1, "post_sampling_probs": .bool(givesProbabilities), "return_tokens": true,
                "cache_prompt": true, "stream": false,
            ]
        }
    }

    /// Whether llama-server is asked for probabilities after its sampler; before it they are those of temperature 1.
    private var givesProbabilities: Bool { request.temperature != 1 }

    /// The response in a reply, up to its first stop token.
    ///
    /// - Throws: `RolloutReplyError`.
    package func sample(in json: JSON) throws -> TokenSample {
        var (sample, isCutShort) =
            switch kind {
            case .vLLM: try ofVLLM(json)
            case .sglang: try ofSGLang(json)
            case .llama: try ofLlama(json)
            }
        guard sample.tokens.count <= request.maximumTokens else {
            throw RolloutReplyError.tooMany(sample.tokens.count, maximum: request.maximumTokens)
        }
        // A server with fewer stop tokens goes on after ours.
        if let stop = sample.tokens.firstIndex(where: request.stopTokens.contains) {
            sample.tokens.removeSubrange((stop + 1)...)
            sample.logProbabilities.removeSubrange((stop + 1)...)
            isCutShort = false
        }
        if isCutShort, sample.tokens.count < request.maximumTokens {
            throw RolloutReplyError.contextTooSmall(sample.tokens.count, maximum: request.maximumTokens)
        }
        return sample
    }

    private func ofVLLM(_ json: JSON) throws -> (TokenSample, isCutShort: Bool) {
        let choice = json["choices"]?.array?.first ?? .null
        let finish = choice["finish_reason"]?.string
        if finish == "abort" || finish == "error" { throw RolloutReplyError.aborted }
        guard let ids = choice["token_ids"]?.array, !ids.isEmpty else {
            throw RolloutReplyError.noTokens("use a vLLM that knows return_token_ids")
        }
        let tokens = try ids.map(token)
        guard let values = choice["logprobs"]?["token_logprobs"]?.array, values.count == tokens.count else {
            let count = choice["logprobs"]?["token_logprobs"]?.array?.count ?? 0
            throw RolloutReplyError.counts(tokens: tokens.count, logProbabilities: count)
        }
        let sample = TokenSample(tokens: tokens, logProbabilities: try values.map(logProbability))
        return (sample, finish == "length")
    }

    private func ofSGLang(_ json: JSON) throws -> (TokenSample, isCutShort: Bool) {
        let json = json.array?.first ?? json
        let facts = json["meta_info"] ?? .null
        let finish = facts["finish_reason"]?["type"]?.string ?? facts["finish_reason"]?.string
        if finish == "abort" { throw RolloutReplyError.aborted }
        guard let entries = facts["output_token_logprobs"]?.array, !entries.isEmpty else {
            throw RolloutReplyError.noTokens("use an SGLang that knows return_logprob")
        }
        var sample = TokenSample(tokens: [], logProbabilities: [])
        for entry in entries {
            let pair = entry.array ?? []
            sample.tokens.append(try token(pair.count > 1 ? pair[1] : .null))
            sample.logProbabilities.append(try logProbability(pair.first ?? .null))
        }
        if let ids = json["output_ids"]?.array, try ids.map(token) != sample.tokens {
            throw RolloutReplyError.otherIDs
        }
        return (sample, finish == "length")
    }

    private func ofLlama(_ json: JSON) throws -> (TokenSample, isCutShort: Bool) {
        guard let ids = json["tokens"]?.array, !ids.isEmpty else {
            throw RolloutReplyError.noTokens("use a llama-server that knows return_tokens")
        }
        let tokens = try ids.map(token)
        if let found = json["generation_settings"]?["temperature"]?.double,
            !(abs(found - request.temperature) <= 1e-4 * request.temperature)
        {
            throw RolloutReplyError.otherTemperature(found, wanted: request.temperature)
        }
        let entries = json["completion_probabilities"]?.array ?? []
        var values = [Float](repeating: .nan, count: tokens.count)
        for (entry, place) in zip(entries, try places(of: entries, in: tokens)) {
            let value =
                givesProbabilities
                ? try logarithm(of: entry["prob"] ?? .null)
                : try logProbability(entry["logprob"] ?? .null)
            if let place { values[place] = value }
        }
        // Half of the tokens may be parts of characters, but a reply without any entry lacks what was asked for.
        guard entries.count * 8 >= tokens.count else {
            throw RolloutReplyError.counts(tokens: tokens.count, logProbabilities: entries.count)
        }
        return (TokenSample(tokens: tokens, logProbabilities: values), json["stop_type"]?.string == "limit")
    }

    /// The index of each entry's token in `tokens`; nil where it is not certain.
    ///
    /// Tokens that end within a character have no entry, so the entries are a subsequence. The place of an entry is
    /// certain if the first and the last subsequence with the entries' ids agree on it.
    ///
    /// - Throws: `RolloutReplyError.otherIDs` if the entries are not a subsequence of the tokens.
    private func places(of entries: [JSON], in tokens: [Int]) throws -> [Int?] {
        let ids = try entries.map { try token($0["id"] ?? .null) }
        var first: [Int] = []
        for id in ids {
            let start = first.last.map { $0 + 1 } ?? 0
            guard let place = tokens[start...].firstIndex(of: id) else { throw RolloutReplyError.otherIDs }
            first.append(place)
        }
        var end = tokens.count
        var last: [Int] = []
        for id in ids.reversed() {
            end = tokens[..<end].lastIndex(of: id) ?? 0
            last.append(end)
        }
        return zip(first, last.reversed()).map { $0 == $1 ? $0 : nil }
    }

    private func token(_ json: JSON) throws -> Int {
        guard let id = json.int, 0..<request.vocabularySize ~= id else {
            throw RolloutReplyError.notAToken(
                json.serialized().onOneLine(limit: 40), vocabularySize: request.vocabularySize)
        }
        return id
    }

    private func logProbability(_ json: JSON) throws -> Float {
        // A logarithm may exceed 0 by rounding.
        guard let value = json.double, value.isFinite, value <= 1e-3 else {
            throw RolloutReplyError.notALogProbability(json.serialized().onOneLine(limit: 40))
        }
        return Float(max(value, -1e4))
    }

    private func logarithm(of json: JSON) throws -> Float {
        guard let value = json.double, value >= 0, value <= 1.001 else {
            throw RolloutReplyError.notALogProbability("of \(json.serialized().onOneLine(limit: 40))")
        }
        return Float(max(log(value), -1e4))
    }
}
