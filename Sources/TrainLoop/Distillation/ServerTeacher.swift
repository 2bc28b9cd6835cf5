import OrderedJSON
import Synchronization

/// A server as a teacher.
package final class ServerTeacher: Teacher {
    package let settings: JSON
    private let server: ChatServer
    private let sampling: TeacherSampling
    private let extra: JSONObject
    private let written: Mutex<TeacherProgress>

    /// A teacher whose requests have the members of `extra` too, which override ours.
    package init(_ server: ChatServer, sampling: TeacherSampling, extra: JSONObject) {
        (self.server, self.sampling, self.extra) = (server, sampling, extra)
        written = Mutex(TeacherProgress(limit: sampling.maximumTokens))
        settings = .object(
            JSONObject(
                [
                    ("kind", "server"), ("url", .string(server.address.base)), ("model", .string(server.model)),
                    ("extra", .object(extra)),
                ] + sampling.json))
    }

    /// The number of requests that were repeated.
    package var retryCount: Int { server.retryCount }

    package var progress: TeacherProgress? { written.withLock { $0 } }

    package func answer(_ problem: Problem, at index: Int) async throws -> ModelReply {
        let body = JSONObject([
            ("messages", problem.messages(asking: sampling.message(for: problem))),
            ("max_tokens", .integer(sampling.maximumTokens)), ("temperature", .double(sampling.temperature)),
            ("top_p", .double(sampling.topP)),
            // Servers expect a 32-bit seed.
            ("seed", .integer(Int((sampling.seed &+ UInt64(index)) & 0x7FFF_FFFF))),
        ])
        do {
            let reply = try await server.reply(to: body, extra: extra, seed: sampling.seed &+ UInt64(index))
            if let count = reply.answer?.tokenCount {
                written.withLock { written in
                    written.tokens += count
                    written.answerTokens += count
                    written.answers += 1
                }
            }
            return reply
        } catch ServerError.unanswered(let reason) { throw TeacherError.unanswered(reason) }
    }
}
