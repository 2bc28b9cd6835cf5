import OrderedJSON
import Parallel

/// A model behind a server with OpenAI's chat completions API, as an evaluation asks it.
///
/// The server renders the prompt with its own chat template. A mode is forced by starting the assistant's turn with the
/// mode's token, and only texts come back, so forms are read from texts.
package struct ServedModel: Sendable {
    package let server: ChatServer
    /// Further members of every request.
    private let extra: JSONObject
    /// The number of requests in progress at once.
    let concurrency: Int

    package init(_ server: ChatServer, extra: JSONObject, concurrency: Int) {
        (self.server, self.extra, self.concurrency) = (server, extra, concurrency)
    }

    /// The model and its address, for reports.
    package var name: String { "\(server.model) at \(server.address.base)" }

    /// The prompt of a problem as the server sees it, and how a response starts.
    struct Start: Sendable {
        var tokenCount: Int
        /// P(`<think>`) and P(`<short>`) as first token, not a number if the server does not tell.
        var firstToken: (think: Double, short: Double)
        /// Whether the server leaves control tokens out of its texts.
        var hidesControlTokens: Bool
    }

    /// A response as text, with its control tokens.
    struct Response: Sendable {
        var text: String
        var isTruncated: Bool
        /// The tokens of the response, control and end tokens included.
        var tokenCount: Int
    }

    /// Generates one token at temperature 1, to learn the distribution of first tokens.
    ///
    /// - Throws: `ServerError`, `ServedModelError`, `CancellationError`.
    func start(_ problem: Problem, _ options: Evaluation.Options) async throws -> Start {
        var body = members(problem, options, forced: nil)
        body["max_tokens"] = 1
        (body["temperature"], body["top_p"]) = (1.0, 1.0)
        (body["logprobs"], body["top_logprobs"]) = (true, 20)
        let answer = try await ask(body, problem, seed: options.seed)
        guard let count = answer.promptTokenCount, count > 0 else { throw ServedModelError.noCounts }
        let token = answer.firstToken
        let isHidden = token.map { Self.mode(of: $0.text) != nil && !answer.text.contains($0.text) } ?? false
        return Start(
            tokenCount: count,
            firstToken: (
                token?.probability(of: "<think>") ?? .nan, token?.probability(of: "<short>") ?? .nan
            ), hidesControlTokens: isHidden && answer.reasoning == nil)
    }

    /// Samples one response.
    ///
    /// - Throws: `ServerError`, `ServedModelError`, `CancellationError`.
    func response(
        to problem: Problem, forced: Mode?, _ options: Evaluation.Options, seed: UInt64, after start: Start,
        hidesControlTokens: Bool
    ) async throws -> Response {
        var body = members(problem, options, forced: forced)
        body["seed"] = .integer(Int(seed & 0x7FFF_FFFF))
        let readsFirstToken = hidesControlTokens && forced == nil
        if readsFirstToken { body["logprobs"] = true }
        let answer = try await ask(body, problem, seed: seed)
        guard let count = answer.tokenCount, count >= 0, count <= 1 << 32 else {
            throw ServedModelError.noCounts
        }
        if let forced, let prompt = answer.promptTokenCount, prompt != start.tokenCount + 1 {
            throw ServedModelError.prefixNotUsed(forced, added: prompt - start.tokenCount)
        }
        let hidden = readsFirstToken ? answer.firstToken.flatMap { Self.mode(of: $0.text) } : nil
        return Response(
            text: Self.text(of: answer, startingWith: forced ?? hidden), isTruncated: answer.isTruncated,
            tokenCount: count + (forced == nil ? 0 : 1))
    }

    /// A response as one text: thinking that came apart stands between its tags again, and the token of `mode` is in
    /// front.
    package static func text(of answer: ModelAnswer, startingWith mode: Mode?) -> String {
        var text = answer.text
        if let reasoning = answer.reasoning, !reasoning.isEmpty {
            let isTagged = ["<think>", "<short>"].contains { reasoning.trimmed.hasPrefix($0) }
            // Some parsers take everything before </think> for thinking, even where there is none.
            let isThinking = !isTagged && mode != .short
            let isOver = !text.trimmed.isEmpty && !reasoning.trimmed.hasPrefix("<short>") && mode != .short
            text = (isThinking ? "<think>" : "") + reasoning + (isOver ? "</think>" : "") + text
        }
        if let mode, !text.trimmed.hasPrefix("<\(mode.rawValue)>") { text = "<\(mode.rawValue)>" + text }
        return text
    }

    private static func mode(of token: String) -> Mode? { Mode.allCases.first { "<\($0.rawValue)>" == token } }

    /// The members of a request; samplers that servers switch on by themselves are off.
    private func members(_ problem: Problem, _ options: Evaluation.Options, forced: Mode?) -> JSONObject {
        var messages = problem.messages(asking: options.prompt.message(for: problem.problem)).array ?? []
        if let forced { messages.append(["role": "assistant", "content": .string("<\(forced.rawValue)>")]) }
        var body = JSONObject([
            ("messages", .array(messages)), ("max_tokens", .integer(options.maximumNewTokens)),
            ("temperature", .double(options.temperature)), ("top_p", .double(options.topP)), ("top_k", -1),
            ("min_p", 0.0), ("repetition_penalty", 1.0), ("skip_special_tokens", false),
        ])
        if forced != nil { (body["add_generation_prompt"], body["continue_final_message"]) = (false, true) }
        return body
    }

    private func ask(_ body: JSONObject, _ problem: Problem, seed: UInt64) async throws -> ModelAnswer {
        switch try await server.reply(to: body, extra: extra, seed: seed) {
        case .answer(let answer): return answer
        case .refused(let reason): throw ServedModelError.refused(problem: problem.id, reason: reason)
        }
    }
}

/// Why a server's answers cannot be judged.
package enum ServedModelError: Error, Equatable, CustomStringConvertible {
    case noCounts
    case prefixNotUsed(Mode, added: Int)
    case refused(problem: String, reason: String)
    case noProbabilities

    package var description: String {
        switch self {
        case .noCounts:
            "the server gives no counts of tokens (usage), which an evaluation reports; if it gives them "
                + "without streaming only, add --extra '{\"stream\": false}'"
        case .prefixNotUsed(let mode, let added):
            "forcing <\(mode.rawValue)> changed the prompt by \(counted(added, "token")) instead of 1, so the "
                + "answer does not start there: the model has no such token, or the server's chat template closes or "
                + "rewrites the assistant's turn; leave --mode \(mode.rawValue) out, or give the server a template "
                + "that keeps the turn's text"
        case .refused(let problem, let reason):
            "no answer to problem \(problem.onOneLine(limit: 80)): \(reason.onOneLine(limit: 300))"
        case .noProbabilities:
            "the server does not tell the probabilities of first tokens (top_logprobs), which this needs"
        }
    }
}
