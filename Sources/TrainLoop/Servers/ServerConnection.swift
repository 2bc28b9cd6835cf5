import HTTP
import OrderedJSON
import Parallel

/// Requests and replies in JSON between ckpt and one server, with retries.
///
/// Failures that may be temporary are retried after a delay: no connection, time-out, 408, 409, 425, 429, 5xx, and a
/// reply that is not JSON.
package final class ServerConnection: Sendable {
    package let address: ServerAddress
    private let flags: ServerFlags
    private let retry: RetryPolicy
    private let limits: HTTPLimits
    private let client: HTTPClient

    /// - Throws: `HTTPError` if requests are impossible.
    package init(
        _ address: ServerAddress, flags: ServerFlags, retry: RetryPolicy, limits: HTTPLimits,
        settings: HTTPClient.Settings
    ) throws {
        (self.address, self.flags, self.retry, self.limits) = (address, flags, retry, limits)
        client = try HTTPClient(settings)
    }

    /// The reply to a request that the server understood.
    package struct Reply: Sendable {
        package var status: Int
        /// null if the body is not JSON and the status is not 200.
        package var json: JSON
        /// The message of an error, on one line.
        package var message: String
    }

    /// Sends a request, a POST if it has a body.
    ///
    /// - Parameters:
    ///   - path: the path below the address.
    ///   - body: the body of a POST.
    ///   - retriesErrors: whether a status of 5xx is temporary. Otherwise it is a reply.
    ///   - acceptsText: whether a reply with status 200 may be something else than JSON.
    /// - Returns: a reply with status 200, or one with another status that further requests would not change.
    /// - Throws: `ServerError`, or `CancellationError`.
    package func reply(
        _ path: String, body: JSON? = nil, retriesErrors: Bool = true, acceptsText: Bool = false
    ) async throws -> Reply {
        var random = SystemRandomNumberGenerator()
        var attempt = 0
        while true {
            var problem: String
            var wanted: Double?
            do {
                var limits = limits
                // Without a stream, a long answer is a long silence.
                limits.idle = max(limits.idle, limits.total)
                let reply = try await client.send(address.request(path, body: body), limits: limits)
                let message = ServerMessage.text(of: reply.body)
                problem = "status \(reply.status), \(address.quoted(message))"
                wanted = reply.retryAfter
                switch reply.status {
                case 200:
                    let json = try? JSON.parse(reply.body)
                    if json != nil || acceptsText { return Reply(status: 200, json: json ?? .null, message: "") }
                    problem = "the reply is not JSON: \(address.quoted(message))"
                case 300...399:
                    throw ServerError.useless(
                        "\(address.base): the server redirects to another address; give that address")
                case 401, 403:
                    throw ServerError.useless(
                        "\(address.base): \(problem); name the environment variable that holds the key with "
                            + flags.key)
                case 500... where !retriesErrors:
                    return Reply(status: reply.status, json: .null, message: problem)
                default:
                    guard RetryPolicy.isTransient(status: reply.status) else {
                        return Reply(
                            status: reply.status, json: (try? JSON.parse(reply.body)) ?? .null, message: problem)
                    }
                }
            } catch let error as HTTPError {
                problem = "\(error)"
                switch error {
                case .unusable, .library, .tooLong: throw ServerError.useless("\(address.base): \(problem)")
                default: break
                }
            }
            guard attempt < retry.retries else {
                throw ServerError.unanswered("\(address.base): \(problem), after \(counted(attempt + 1, "attempt"))")
            }
            let delay = retry.delay(
                attempt: attempt, retryAfter: wanted, random: Double.random(in: 0..<1, using: &random))
            attempt += 1
            try await Task.sleep(for: .seconds(delay))
        }
    }
}
