import Foundation
import OrderedJSON
import Synchronization

/// A chat completions server on loopback that fails as the test tells it.
///
/// It runs until it is released, for two minutes at most.
final class FaultyServer: Sendable {
    enum Response {
        case completion(content: String, reasoning: String? = nil, finish: String = "stop")
        case status(Int, headers: [String] = [], body: String = "{\"error\":{\"message\":\"told to fail\"}}")
        /// Status 200 with this text.
        case text(String)
        /// The connection is closed without a reply.
        case hangUp
        /// No reply for this long, then the connection is closed.
        case silence(seconds: Double)
    }

    struct Request: Sendable {
        /// The path before `/v1`, which names the teacher.
        var teacher: String
        var problem: String
        var model: String
        var key: String?
        var seconds: Double
    }

    /// Chooses the response to a problem that was asked `before` times already.
    typealias Script = @Sendable (_ teacher: String, _ problem: String, _ before: Int) -> Response

    let port: Int
    private let listener: Int32
    private let script: Script
    private let delay: Double
    private let start = ContinuousClock.now
    private let log = Mutex<[Request]>([])
    private let isOver = Atomic<Bool>(false)

    /// Starts the server; `delay` is the number of seconds before each reply.
    ///
    /// - Throws: `POSIXError` if no port is free.
    init(delay: Double = 0, script: @escaping Script) throws {
        self.script = script
        self.delay = delay
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
        self.listener = listener
        let server = Weak(self)
        Thread.detachNewThread { [listener] in Self.accept(listener) { server.value } }
    }

    deinit { stop() }

    /// A weak reference for threads, which must not keep the server alive.
    private final class Weak: @unchecked Sendable {
        weak var value: FaultyServer?

        init(_ value: FaultyServer) { self.value = value }
    }

    var requests: [Request] { log.withLock { $0 } }

    func address(_ teacher: String) -> String { "http://127.0.0.1:\(port)/\(teacher)/v1" }

    func stop() {
        if !isOver.exchange(true, ordering: .relaxed) { shutdown(listener, Int32(SHUT_RDWR)) }
    }

    /// Accepts connections until the server is released.
    private static func accept(_ listener: Int32, _ server: @escaping @Sendable () -> FaultyServer?) {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 200) >= 0 else { break }
            guard let current = server(), !current.isOver.load(ordering: .relaxed) else { break }
            guard waiting.revents != 0 else { continue }
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else { break }
            Thread.detachNewThread {
                while let server = server(), server.serve(connection) {}
                close(connection)
            }
        }
        close(listener)
    }

    /// Answers one request; false if the connection must be closed.
    private func serve(_ connection: Int32) -> Bool {
        guard let (path, headers, body) = Self.receive(connection) else { return false }
        let teacher = path.split(separator: "/").first.map(String.init) ?? ""
        if path.hasSuffix("/models") { return send(.text("{\"data\":[{\"id\":\"the-model\"}]}"), connection) }
        let json = (try? JSON.parse(body)) ?? .null
        let problem = json["messages"]?.array?.last?["content"]?.string ?? ""
        let before = log.withLock { log in
            let before = log.count { $0.teacher == teacher && $0.problem == problem }
            log.append(
                Request(
                    teacher: teacher, problem: problem, model: json["model"]?.string ?? "",
                    key: headers.first { $0.lowercased().hasPrefix("authorization:") },
                    seconds: Double((ContinuousClock.now - start) / .seconds(1))))
            return before
        }
        if delay > 0 { usleep(UInt32(delay * 1e6)) }
        return send(script(teacher, problem, before), connection)
    }

    private func send(_ response: Response, _ connection: Int32) -> Bool {
        var (status, extra, body) = (200, [String](), "")
        switch response {
        case .completion(let content, let reasoning, let finish):
            var message: JSON = ["role": "assistant", "content": .string(content)]
            if let reasoning { message["reasoning_content"] = .string(reasoning) }
            let choice: JSON = ["message": message, "finish_reason": .string(finish)]
            let reply: JSON = [
                "choices": .array([choice]), "usage": ["completion_tokens": .integer(content.utf8.count)],
            ]
            body = reply.serialized()
        case .status(let code, let headers, let text): (status, extra, body) = (code, headers, text)
        case .text(let text): body = text
        case .hangUp: return false
        case .silence(let seconds):
            usleep(UInt32(seconds * 1e6))
            return false
        }
        let head = ["HTTP/1.1 \(status) Told", "Content-Length: \(body.utf8.count)", "Content-Type: application/json"]
        let bytes = Array(((head + extra).joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
        return Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    private static func receive(_ connection: Int32) -> (path: String, headers: [String], body: [UInt8])? {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while bytes.count < 1 << 24 {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                let length =
                    lines.first { $0.lowercased().hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
                if bytes.count >= end.upperBound + length {
                    let words = lines[0].split(separator: " ")
                    guard words.count >= 2 else { return nil }
                    return (
                        String(words[1]), Array(lines.dropFirst()),
                        Array(bytes[end.upperBound..<(end.upperBound + length)])
                    )
                }
            }
            let count = recv(connection, &piece, piece.count, 0)
            guard count > 0 else { return nil }
            bytes += piece[..<count]
        }
        return nil
    }
}
