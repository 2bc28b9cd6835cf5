import Foundation
import HTTP
import Parallel
import Transformer

/// The servers that sample the responses of a run.
package struct RolloutServers: Sendable {
    /// The roots of the servers.
    package var addresses: [ServerAddress]
    /// The name of the model on vLLM servers; nil: their only one.
    package var model: String?
    /// The responses that a server samples at once.
    package var concurrency: Int
    /// Brings new weights to the servers; nil: what each server has for that.
    package var syncCommand: String?
    package var retry: RetryPolicy
    package var limits: HTTPLimits
    package var settings: HTTPClient.Settings
    package var flags: ServerFlags

    package init(
        _ addresses: [ServerAddress], model: String?, concurrency: Int, syncCommand: String?, retry: RetryPolicy,
        limits: HTTPLimits, settings: HTTPClient.Settings, flags: ServerFlags
    ) {
        self.addresses = addresses
        self.model = model
        self.concurrency = concurrency
        self.syncCommand = syncCommand
        self.retry = retry
        self.limits = limits
        self.settings = settings
        self.flags = flags
    }

    /// Asks every server what it is; waits up to `seconds` for servers that are starting.
    ///
    /// - Throws: `ServerError`, and `HTTPError` if requests are impossible.
    func connect(within seconds: Double) throws -> [RolloutServer] {
        let deadline = ContinuousClock.now + .seconds(seconds)
        return try addresses.map { address in
            if seconds > 0 { try wait(for: address, until: deadline) }
            let connection = try ServerConnection(
                address, flags: flags, retry: retry, limits: limits, settings: settings)
            let (model, flag) = (model, flags.model)
            return try ConcurrentRequests.wait {
                try await RolloutServer(connection, model: model, modelFlag: flag)
            }
        }
    }

    /// Waits until a server answers, and does not say that it is still starting.
    private func wait(for address: ServerAddress, until deadline: ContinuousClock.Instant) throws {
        var once = retry
        once.retries = 0
        let connection = try ServerConnection(address, flags: flags, retry: once, limits: limits, settings: settings)
        while true {
            do {
                _ = try ConcurrentRequests.wait { try await connection.reply("health", acceptsText: true) }
                return
            } catch ServerError.unanswered(let reason) {
                guard ContinuousClock.now < deadline else { throw ServerError.unanswered(reason) }
                usleep(200_000)
            }
        }
    }
}

/// A failure of the servers that sample; the model is as it was before the step.
struct SamplingFailure: Error {
    let reason: String
}

/// Samples a step's responses on servers.
struct ServerSampler: Sendable {
    let servers: [RolloutServer]
    /// The responses that a server samples at once.
    let concurrency: Int
    let vocabularySize: Int

    /// A response that a server sampled.
    struct Response: Sendable {
        var tokens: [Int]
        /// As in `ServerScores`.
        var logProbabilities: [Float]
        var server: Int
    }

    private struct Job: Sendable {
        let request: Int
        let sample: Int
        let server: Int
        let forced: Int?
        let tokens: TokenRequest
    }

    /// Samples responses to all requests; those to one prompt come from one server.
    ///
    /// - Parameters:
    ///   - requests: the prompts, with the forced first tokens of their samples.
    ///   - sampling: temperature, lengths, end tokens and seed.
    ///   - shortLimit: ends short answers after this many tokens, if any.
    ///   - control: the control tokens of the model.
    ///   - onFinished: called with the number of finished responses.
    /// - Returns: the responses, `[request][sample]`.
    /// - Throws: `SamplingFailure`.
    func sample(
        _ requests: [GenerationRequest], _ sampling: SamplingOptions, shortLimit: Int?, control: ControlTokens,
        onFinished: (Int) -> Void
    ) throws -> [[Response]] {
        var responses = requests.map { request in
            (0..<request.sampleCount).map { sample in
                // What a forced token leaves no room for need not be asked.
                Response(
                    tokens: request.forcedFirstTokens?[sample].map { [$0] } ?? [], logProbabilities: [.nan], server: 0)
            }
        }
        let jobs = self.jobs(requests, sampling)
        var finished = responses.reduce(0) { $0 + $1.count } - jobs.count
        let servers = servers
        do {
            try ConcurrentRequests.forEach(jobs, atOnce: concurrency * servers.count) { job in
                try await servers[job.server].sample(job.tokens)
            } receive: { index, sample in
                let job = jobs[index]
                var response = Response(
                    tokens: (job.forced.map { [$0] } ?? []) + sample.tokens,
                    logProbabilities: (job.forced == nil ? [] : [.nan]) + sample.logProbabilities, server: job.server)
                if let shortLimit, response.tokens.first == control.short {
                    let isOver = response.tokens.last.map(sampling.stopTokens.contains) ?? false
                    if response.tokens.count - (isOver ? 1 : 0) >= shortLimit {
                        response.tokens = Array(response.tokens.prefix(shortLimit))
                        response.logProbabilities = Array(response.logProbabilities.prefix(shortLimit))
                    }
                }
                responses[job.request][job.sample] = response
                finished += 1
                onFinished(finished)
            }
        } catch { throw SamplingFailure(reason: "\(error)") }
        return responses
    }

    private func jobs(_ requests: [GenerationRequest], _ sampling: SamplingOptions) -> [Job] {
        requests.enumerated().flatMap { index, request in
            (0..<request.sampleCount).compactMap { sample -> Job? in
                let forced = request.forcedFirstTokens?[sample] ?? nil
                let maximum = sampling.maximumNewTokens - (forced == nil ? 0 : 1)
                guard maximum > 0 else { return nil }
                let random = CounterRandom.uniform(
                    seed: sampling.seed, step: sampling.step, prompt: request.promptKey, sample: sample, position: 0)
                return Job(
                    request: index, sample: sample, server: index % servers.count, forced: forced,
                    tokens: TokenRequest(
                        prompt: request.prompt + (forced.map { [$0] } ?? []), maximumTokens: maximum,
                        temperature: Double(sampling.temperature), stopTokens: sampling.stopTokens,
                        seed: Int(random * 0x1p31), vocabularySize: vocabularySize))
            }
        }
    }
}
