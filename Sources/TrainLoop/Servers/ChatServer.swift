import HTTP
import OrderedJSON
import Parallel
import Synchronization

/// Why a server gives no reply.
package enum ServerError: Error, Equatable, CustomStringConvertible {
    /// All attempts failed; a later run may succeed.
    case unanswered(String)
    /// The failure would affect every request.
    case useless(String)

    package var description: String {
        switch self {
        case .unanswered(let reason), .useless(let reason): reason
        }
    }
}

/// A server with OpenAI's chat completions API (vLLM, SGLang, llama-server and others).
///
/// Answers are asked for as a stream, so that a stall is told from a long answer. Failures that may be temporary (no
/// connection, time-out, 408, 409, 425, 429, 5xx, an invalid reply) are retried after a delay. If the server sets the
/// delay, all requests to it wait.
package final class ChatServer: Sendable {
    package let address: ServerAddress
    /// The name of the model that is asked.
    package let model: String
    private let flags: ServerFlags
    private let retry: RetryPolicy
    private let limits: HTTPLimits
    private let client: HTTPClient

    private struct State {
        var answerCount = 0
        var retryCount = 0
        /// No request is sent before this time.
        var pausedUntil: ContinuousClock.Instant?
        var refusalsBeforeAnyAnswer = 0
        var dialect = ChatDialect()
    }
    private let state = Mutex(State())
    /// After this many refusals without any answer, the run ends.
    private static let maximumRefusals = 8

    /// Asks the server for its only model if none is named.
    ///
    /// - Throws: `ServerError`, and `HTTPError` if requests are impossible.
    package init(
        _ address: ServerAddress, model: String?, flags: ServerFlags, retry: RetryPolicy, limits: HTTPLimits,
        settings: HTTPClient.Settings
    ) async throws {
        (self.address, self.flags, self.retry, self.limits) = (address, flags, retry, limits)
        client = try HTTPClient(settings)
        if let model {
            self.model = model
        } else {
            self.model = try await Self.onlyModel(client, address, flags, retry, limits)
        }
    }

    /// The number of requests that were repeated.
    package var retryCount: Int { state.withLock(\.retryCount) }

    /// Asks for a completion.
    ///
    /// - Parameters:
    ///   - body: the members of the request besides the model and those of the form of the reply. Those of `extra`
    ///     override all others, and one that is null there is left out.
    ///   - extra: further members.
    ///   - seed: of the random part of delays.
    /// - Returns: an answer, or a refusal.
    /// - Throws: `ServerError`, or `CancellationError`.
    package func reply(to body: JSONObject, extra: JSONObject, seed: UInt64) async throws -> ModelReply {
        var random = SplitMix64(seed: seed)
        var attempt = 0
        while true {
            try await waitForPause()
            let dialect = state.withLock(\.dialect)
            let request = address.request("chat/completions", body: dialect.body(body, model: model, extra: extra))
            let (step, retryAfter) = try await attemptOnce(request, dialect)
            switch step {
            case .done(let reply): return reply
            case .inOtherDialect: continue
            case .again(let text):
                guard attempt < retry.retries else {
                    throw ServerError.unanswered("\(address.base): \(text), after \(counted(attempt + 1, "attempt"))")
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
        case done(ModelReply)
        case again(String)
        case inOtherDialect
    }

    private func attemptOnce(
        _ request: HTTPRequest, _ dialect: ChatDialect
    ) async throws -> (Step, retryAfter: Double?) {
        let reply: HTTPReply
        var limits = limits
        // Without a stream, a long answer is a long silence.
        if !dialect.streams { limits.idle = max(limits.idle, limits.total) }
        do { reply = try await client.send(request, limits: limits) } catch let error as HTTPError {
            switch error {
            case .unusable, .library: throw ServerError.useless("\(address.base): \(error)")
            case .tooLong: return (try refused("\(error)"), nil)
            default: return (.again("\(error)"), nil)
            }
        }
        guard reply.status == 200 else { return (try step(status: reply, dialect), reply.retryAfter) }
        switch ChatBody(reply.body) {
        case .reply(let reply):
            state.withLock { $0.answerCount += 1 }
            return (.done(withoutKey(reply)), nil)
        case .failed(let text, let status):
            let text = address.quoted(text)
            if let status, !RetryPolicy.isTransient(status: status) {
                return (try refused("status \(status), \(text)"), nil)
            }
            return (.again("an error instead of an answer: \(text)"), reply.retryAfter)
        case .noCompletion(let text):
            return (.again("the reply is not a chat completion: \(address.quoted(text))"), nil)
        }
    }

    /// What to do after a reply with a status other than 200.
    private func step(status reply: HTTPReply, _ dialect: ChatDialect) throws -> Step {
        let message = ServerMessage.text(of: reply.body)
        let text = "status \(reply.status), \(address.quoted(message))"
        if RetryPolicy.isTransient(status: reply.status) { return .again(text) }
        switch reply.status {
        case 300...399:
            let target = address.withoutKey(reply.headers["location"] ?? "another address").onOneLine(limit: 200)
            throw ServerError.useless("\(address.base): the server redirects to \(target); give that address")
        case 401, 403:
            throw ServerError.useless(
                "\(address.base): \(text); name the environment variable that holds the key with \(flags.key)")
        case 404, 405:
            throw ServerError.useless(
                "\(address.base): \(text); check the address (it ends in /v1) and the model's name")
        default:
            let isOther = state.withLock { state in
                state.dialect != dialect || state.dialect.adapt(toRefusal: message)
            }
            return isOther ? .inOtherDialect : try refused(text)
        }
    }

    /// A refusal, which ends the run if the server refuses everything.
    private func refused(_ text: String) throws -> Step {
        let refusals = state.withLock { state in
            guard state.answerCount == 0 else { return 0 }
            state.refusalsBeforeAnyAnswer += 1
            return state.refusalsBeforeAnyAnswer
        }
        guard refusals < Self.maximumRefusals else {
            throw ServerError.useless(
                "\(address.base): the server refuses all requests: \(text); \(flags.extra) '{\"NAME\": null}' leaves a "
                    + "member of the request out")
        }
        return .done(.refused(reason: text))
    }

    private func withoutKey(_ reply: ModelReply) -> ModelReply {
        switch reply {
        case .answer(var answer):
            answer.text = address.withoutKey(answer.text, isAnswer: true)
            answer.reasoning = answer.reasoning.map { address.withoutKey($0, isAnswer: true) }
            return .answer(answer)
        case .refused(let reason): return .refused(reason: address.withoutKey(reason))
        }
    }

    private func waitForPause() async throws {
        while let until = state.withLock(\.pausedUntil), until > .now {
            try await Task.sleep(until: until, clock: .continuous)
        }
    }

    private static func onlyModel(
        _ client: HTTPClient, _ address: ServerAddress, _ flags: ServerFlags, _ retry: RetryPolicy, _ limits: HTTPLimits
    ) async throws -> String {
        var limits = limits
        limits.total = min(limits.total, 30)
        var attempt = 0
        while true {
            var problem: String
            do {
                let reply = try await client.send(address.request("models"), limits: limits)
                if reply.status == 200 {
                    let json = try? JSON.parse(reply.body)
                    let models = (json?["data"] ?? json?["models"] ?? json)?.array ?? []
                    let names = models.compactMap { ($0["id"] ?? $0["name"])?.string }.map { address.withoutKey($0) }
                    if names.count == 1 { return names[0] }
                    throw ServerError.useless(
                        names.isEmpty
                            ? "\(address.base): the server lists no model; name one with \(flags.model)"
                            : "\(address.base): the server has \(names.count) models; name one with \(flags.model): "
                                + names.prefix(8).map { $0.onOneLine(limit: 100) }.joined(separator: ", "))
                }
                problem = "status \(reply.status), \(address.quoted(ServerMessage.text(of: reply.body)))"
                guard RetryPolicy.isTransient(status: reply.status) else {
                    throw ServerError.useless(
                        "\(address.base)/models: \(problem); check the address (it ends in /v1), the key (\(flags.key)) "
                            + "and the model's name (\(flags.model))")
                }
            } catch let error as HTTPError {
                problem = "\(error)"
                switch error {
                case .unusable, .library: throw ServerError.useless("\(address.base): \(problem)")
                default: break
                }
            }
            guard attempt < min(retry.retries, 3) else { throw ServerError.useless("\(address.base): \(problem)") }
            try await Task.sleep(for: .seconds(retry.delay(attempt: attempt, retryAfter: nil, random: 0)))
            attempt += 1
        }
    }
}
