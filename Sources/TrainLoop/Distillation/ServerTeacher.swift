import Foundation
import FoundationNetworking
import OrderedJSON
import Parallel
import Synchronization

/// A server with OpenAI's chat completions API (vLLM, SGLang, llama-server and others).
///
/// Failures that may be temporary (no connection, time-out, 408, 409, 425, 429, 5xx, an invalid reply) are retried
/// after a delay. If the server sets the delay, all requests to it wait.
package final class ServerTeacher: Teacher {
    /// The address of a server, and its key.
    package struct Address: Sendable, Equatable {
        /// The part before `/chat/completions`.
        fileprivate let base: URL
        /// Sent as a bearer token.
        private let key: String?

        /// - Throws: `OptionError` if the text is not an HTTP address, or has a part that may hold a key: the
        ///   address is shown and stored.
        package init(_ given: String, key: String? = nil) throws {
            var text = given
            while text.hasSuffix("/") { text.removeLast() }
            if text.hasSuffix("/chat/completions") { text.removeLast("/chat/completions".count) }
            guard !given.contains(where: { "@?#".contains($0) }) else {
                throw OptionError(
                    "the address of a server must have no user name, password or query, where a key would be shown and "
                        + "stored; give one like http://127.0.0.1:8000/v1, and name the environment variable that holds "
                        + "the key with --think-key-env or --short-key-env")
            }
            guard let url = URL(string: text), ["http", "https"].contains(url.scheme?.lowercased()),
                url.host?.isEmpty == false
            else {
                throw OptionError("\(given) is not a server address; give one like http://127.0.0.1:8000/v1")
            }
            base = url
            self.key = key
        }

        fileprivate func request(_ path: String) -> URLRequest {
            var request = URLRequest(url: base.appendingPathComponent(path))
            if let key { request.setValue("Bearer " + key, forHTTPHeaderField: "Authorization") }
            return request
        }

        /// The text without the key, which a server may send back.
        ///
        /// A key of fewer than eight characters, such as the "none" of a local server, may be a word of an answer.
        fileprivate func withoutKey(_ text: String, isAnswer: Bool = false) -> String {
            guard let key, !key.isEmpty, !isAnswer || key.utf8.count >= 8 else { return text }
            return text.replacingOccurrences(of: key, with: "[key]", options: .literal)
        }
    }

    package let settings: JSON
    private let address: Address
    private let model: String
    private let sampling: TeacherSampling
    private let extra: JSONObject
    private let retry: RetryPolicy
    private let timeout: Double
    private let client: HTTPClient

    private struct State {
        var answerCount = 0
        var retryCount = 0
        /// No request is sent before this time.
        var pausedUntil: ContinuousClock.Instant?
        var refusalsBeforeAnyAnswer = 0
    }
    private let state = Mutex(State())
    /// After this many refusals without any answer, the run ends.
    private static let maximumRefusals = 8

    /// Asks the server for its only model if none is named.
    ///
    /// The members of `extra` are added to the request body and override ours. `timeout` is in seconds per request.
    ///
    /// - Throws: `TeacherError`.
    package init(
        _ address: Address, model: String?, sampling: TeacherSampling, extra: JSONObject, retry: RetryPolicy,
        timeout: Double, connections: Int
    ) async throws {
        self.address = address
        self.sampling = sampling
        self.extra = extra
        self.retry = retry
        self.timeout = timeout
        client = HTTPClient(connections: connections)
        if let model {
            self.model = model
        } else {
            self.model = try await Self.onlyModel(client, address, retry, timeout: min(timeout, 30))
        }
        settings = .object(
            JSONObject(
                [
                    ("kind", "server"), ("url", .string(address.base.absoluteString)), ("model", .string(self.model)),
                    ("extra", .object(extra)),
                ] + sampling.json))
    }

    deinit { client.close() }

    /// The number of requests that were repeated.
    package var retryCount: Int { state.withLock(\.retryCount) }

    package func answer(_ problem: Problem, at index: Int) async throws -> TeacherReply {
        var request = address.request("chat/completions")
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = Data(body(for: problem, index).serialized().utf8)
        var random = SplitMix64(seed: sampling.seed, keys: 0x5E7F, UInt64(index))
        var attempt = 0
        while true {
            try await waitForPause()
            let (step, retryAfter) = try await attemptOnce(request)
            switch step {
            case .done(let reply): return reply
            case .again(let text):
                guard attempt < retry.retries else {
                    throw TeacherError.unanswered(
                        "\(address.base.absoluteString): \(text), after \(counted(attempt + 1, "attempt"))")
                }
                let delay = retry.delay(
                    attempt: attempt, retryAfter: retryAfter, random: Double.random(in: 0..<1, using: &random))
                state.withLock { state in
                    state.retryCount += 1
                    guard retryAfter != nil else { return }
                    let until = ContinuousClock.now + .seconds(delay)
                    state.pausedUntil = max(state.pausedUntil ?? until, until)
                }
                attempt += 1
                try await Task.sleep(for: .seconds(delay))
            }
        }
    }

    private enum Step {
        case done(TeacherReply)
        case again(String)
    }

    private func attemptOnce(_ request: URLRequest) async throws -> (Step, retryAfter: Double?) {
        let reply: HTTPReply
        do { reply = try await client.send(request, timeout: timeout) } catch let error as HTTPError {
            return (.again("\(error)"), nil)
        }
        if reply.status == 200 {
            guard let answer = answer(in: reply.body) else {
                return (.again("the reply is not a chat completion: \(Self.excerpt(reply.body, address))"), nil)
            }
            state.withLock { $0.answerCount += 1 }
            return (.done(answer), nil)
        }
        let text = "status \(reply.status), \(Self.excerpt(reply.body, address))"
        if RetryPolicy.isTransient(status: reply.status) {
            return (.again(text), RetryPolicy.seconds(retryAfter: reply.retryAfter))
        }
        let place = address.base.absoluteString
        switch reply.status {
        case 300...399:
            let target = address.withoutKey(reply.location ?? "another address")
            throw TeacherError.useless("\(place): the server redirects to \(target); give that address")
        case 401, 403:
            throw TeacherError.useless(
                "\(place): \(text); name the environment variable that holds the key with --think-key-env or "
                    + "--short-key-env")
        case 404, 405:
            throw TeacherError.useless("\(place): \(text); check the address (it ends in /v1) and the model's name")
        default:
            let refusals = state.withLock { state in
                guard state.answerCount == 0 else { return 0 }
                state.refusalsBeforeAnyAnswer += 1
                return state.refusalsBeforeAnyAnswer
            }
            if refusals >= Self.maximumRefusals {
                throw TeacherError.useless("\(place): the server refuses all requests: \(text)")
            }
            return (.done(.refused(reason: text)), nil)
        }
    }

    private func waitForPause() async throws {
        while let until = state.withLock(\.pausedUntil), until > .now {
            try await Task.sleep(until: until, clock: .continuous)
        }
    }

    private func body(for problem: Problem, _ index: Int) -> JSON {
        var body = JSONObject([
            ("model", .string(model)),
            ("messages", problem.messages(asking: sampling.message(for: problem))),
            ("max_tokens", .integer(sampling.maximumTokens)), ("temperature", .double(sampling.temperature)),
            ("top_p", .double(sampling.topP)),
            // Servers expect a 32-bit seed.
            ("seed", .integer(Int((sampling.seed &+ UInt64(index)) & 0x7FFF_FFFF))),
        ])
        for (key, value) in extra { body[key] = value }
        return .object(body)
    }

    // MARK: Replies

    /// The reply in a completion; nil if the body is not one.
    private func answer(in body: [UInt8]) -> TeacherReply? {
        guard let json = try? JSON.parse(body), let choice = json["choices"]?.array?.first,
            let message = choice["message"], message.object != nil
        else { return nil }
        let reasoning = (message["reasoning_content"] ?? message["reasoning"])?.string
        let text: String
        switch message["content"] {
        case .string(let content): text = content
        case nil, .null: text = ""
        default: return nil
        }
        let finish = choice["finish_reason"]?.string
        if finish == "content_filter" { return .refused(reason: "stopped by the server's content filter") }
        if let refusal = message["refusal"]?.string { return .refused(reason: address.withoutKey(refusal)) }
        return .answer(
            TeacherAnswer(
                text: address.withoutKey(text, isAnswer: true),
                reasoning: reasoning.map { address.withoutKey($0, isAnswer: true) }, isTruncated: finish == "length",
                tokenCount: json["usage"]?["completion_tokens"]?.int))
    }

    /// The error message in a reply, or the start of the reply, on one line and without the key.
    private static func excerpt(_ body: [UInt8], _ address: Address) -> String {
        let json = try? JSON.parse(body)
        let message = json?["error"]?["message"]?.string ?? json?["error"]?.string ?? json?["message"]?.string
        // The key goes before the text is cut; serializing undoes escapes that would hide it.
        let text = message ?? json?.serialized() ?? String(decoding: body.prefix(1 << 16), as: UTF8.self)
        let line = address.withoutKey(text).onOneLine().trimmed
        return line.isEmpty ? "empty reply" : "\"" + String(line.prefix(200)) + "\""
    }

    private static func onlyModel(
        _ client: HTTPClient, _ address: Address, _ retry: RetryPolicy, timeout: Double
    ) async throws -> String {
        let place = address.base.absoluteString
        var attempt = 0
        while true {
            var problem: String
            do {
                let reply = try await client.send(address.request("models"), timeout: timeout)
                if reply.status == 200 {
                    let models = (try? JSON.parse(reply.body))?["data"]?.array ?? []
                    let names = models.compactMap { $0["id"]?.string }.map { address.withoutKey($0) }
                    if names.count == 1 { return names[0] }
                    throw TeacherError.useless(
                        names.isEmpty
                            ? "\(place): the server lists no model; name one with --think-model or --short-model"
                            : "\(place): the server has \(names.count) models; name one with --think-model or "
                                + "--short-model: " + names.prefix(8).joined(separator: ", "))
                }
                problem = "status \(reply.status), \(excerpt(reply.body, address))"
                guard RetryPolicy.isTransient(status: reply.status) else {
                    throw TeacherError.useless(
                        "\(place)/models: \(problem); check the address (it ends in /v1), the key (--think-key-env) "
                            + "and the model's name (--think-model)")
                }
            } catch let error as HTTPError { problem = "\(error)" }
            guard attempt < min(retry.retries, 3) else { throw TeacherError.useless("\(place): \(problem)") }
            try await Task.sleep(for: .seconds(retry.delay(attempt: attempt, retryAfter: nil, random: 0)))
            attempt += 1
        }
    }
}
