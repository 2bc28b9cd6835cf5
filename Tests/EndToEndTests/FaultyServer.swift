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
        /// These steps, after which the connection is kept.
        case steps([Step])
    }

    enum Step: Sendable {
        case send(String)
        case bytes([UInt8])
        case pause(seconds: Double)
        /// Bytes without end.
        case flood(String)
        case close
        /// Ends the connection with a reset.
        case reset
    }

    /// A whole reply with these bytes as its body.
    static func reply(_ body: [UInt8], headers: [String] = []) -> Response {
        let head = ["HTTP/1.1 200 OK", "Content-Length: \(body.count)"] + headers
        return .steps([.send(head.joined(separator: "\r\n") + "\r\n\r\n"), .bytes(body)])
    }

    /// A streamed reply in pieces, each a chunk of its own.
    static func stream(_ pieces: [[UInt8]], isWhole: Bool = true) -> Response {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        let chunks = pieces.flatMap { piece -> [Step] in
            [.bytes(Array((String(piece.count, radix: 16) + "\r\n").utf8) + piece + Array("\r\n".utf8))]
        }
        return .steps([.send(head)] + chunks + [isWhole ? .send("0\r\n\r\n") : .close])
    }

    /// The events of a completion whose content comes in `parts`.
    static func events(_ parts: [String], finish: String? = "stop", done: Bool = true) -> String {
        var events = [": comment", ""]
        for part in parts {
            let chunk: JSON = ["choices": .array([["index": 0, "delta": ["content": .string(part)]]])]
            events += ["data: " + chunk.serialized(), ""]
        }
        if let finish {
            events += ["data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\(finish)\"}]}", ""]
        }
        events += ["data: {\"choices\":[],\"usage\":{\"completion_tokens\":\(parts.count)}}", ""]
        return (events + (done ? ["data: [DONE]", ""] : [])).joined(separator: "\n") + "\n"
    }

    struct Request: Sendable {
        /// The path before `/v1`, which names the teacher.
        var teacher: String
        var problem: String
        var model: String
        var key: String?
        var seconds: Double
        /// The number of the connection, counted from 0.
        var connection: Int
        var json: JSON
        var headers: [String]
    }

    /// Refuses a request, or lets it through to the script.
    struct Checks: Sendable {
        let refusal: @Sendable (_ request: JSON) -> Response?
    }

    /// Chooses the response to a problem that was asked `before` times already.
    typealias Script = @Sendable (_ teacher: String, _ problem: String, _ before: Int) -> Response

    /// Answers every request to a path; takes the place of a script.
    typealias Routes = @Sendable (_ path: String, _ request: JSON) -> Response

    let port: Int
    /// Whether the server listens on `::1`.
    private let isIPv6: Bool
    private let listener: Int32
    private let script: Script
    private let delay: Double
    private let checks: Checks?
    private let routes: Routes?
    private let drops: @Sendable (Int) -> Bool
    private let start = ContinuousClock.now
    private let log = Mutex<[Request]>([])
    private let isOver = Atomic<Bool>(false)

    /// Starts the server.
    ///
    /// - Parameters:
    ///   - delay: the seconds before each reply.
    ///   - isIPv6: listens on `::1` and not on 127.0.0.1.
    ///   - checks: refuses requests before they reach the script.
    ///   - drops: the connections that are closed at once, by their number.
    ///   - routes: answers requests by their path, and not the script.
    ///   - script: chooses the replies.
    /// - Throws: `POSIXError` if no port is free.
    init(
        delay: Double = 0, isIPv6: Bool = false, checks: Checks? = nil,
        drops: @escaping @Sendable (Int) -> Bool = { _ in false }, routes: Routes? = nil,
        script: @escaping Script
    ) throws {
        self.script = script
        self.delay = delay
        self.drops = drops
        self.checks = checks
        self.routes = routes
        self.isIPv6 = isIPv6
        let listener = socket(
            isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        // The same place holds the address of either kind.
        var address = sockaddr_in6()
        var length = socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutableBytes(of: &address) { bytes in
            if isIPv6 {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                inet_pton(AF_INET6, "::1", &address.sin6_addr)
                bytes.storeBytes(of: address, as: sockaddr_in6.self)
            } else {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_addr.s_addr = inet_addr("127.0.0.1")
                bytes.storeBytes(of: address, as: sockaddr_in.self)
            }
            guard let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
                && getsockname(listener, pointer, &length) == 0
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        // The port is at the same place too.
        port = Int(UInt16(bigEndian: address.sin6_port))
        self.listener = listener
        let server = Weak(self)
        Thread.detachNewThread { [listener] in Self.accept(listener) { server.value } }
    }

    /// Starts a server that answers requests by their path.
    convenience init(routes: @escaping Routes) throws { try self.init(routes: routes, script: { _, _, _ in .hangUp }) }

    deinit { stop() }

    /// A weak reference for threads, which must not keep the server alive.
    private final class Weak: @unchecked Sendable {
        weak var value: FaultyServer?

        init(_ value: FaultyServer) { self.value = value }
    }

    var requests: [Request] { log.withLock { $0 } }

    func address(_ teacher: String) -> String { "http://\(isIPv6 ? "[::1]" : "127.0.0.1"):\(port)/\(teacher)/v1" }

    func stop() {
        if !isOver.exchange(true, ordering: .relaxed) { shutdown(listener, Int32(SHUT_RDWR)) }
    }

    /// Accepts connections until the server is released.
    private static func accept(_ listener: Int32, _ server: @escaping @Sendable () -> FaultyServer?) {
        let end = ContinuousClock.now + .seconds(120)
        var number = 0
        while ContinuousClock.now < end {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 200) >= 0 else { break }
            guard let current = server(), !current.isOver.load(ordering: .relaxed) else { break }
            guard waiting.revents != 0 else { continue }
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else { break }
            let isDropped = current.drops(number)
            Thread.detachNewThread { [number] in
                while !isDropped, let server = server(), server.serve(connection, number) {}
                close(connection)
            }
            number += 1
        }
        close(listener)
    }

    /// Answers one request; false if the connection must be closed.
    private func serve(_ connection: Int32, _ number: Int) -> Bool {
        guard let (path, headers, body) = Self.receive(connection) else { return false }
        if let routes { return send(routes(path, (try? JSON.parse(body)) ?? .null), connection) }
        let teacher = path.split(separator: "/").first.map(String.init) ?? ""
        if path.hasSuffix("/models") { return send(.text("{\"data\":[{\"id\":\"the-model\"}]}"), connection) }
        let json = (try? JSON.parse(body)) ?? .null
        if let refusal = checks?.refusal(json) { return send(refusal, connection) }
        let problem = json["messages"]?.array?.last?["content"]?.string ?? ""
        let before = log.withLock { log in
            let before = log.count { $0.teacher == teacher && $0.problem == problem }
            log.append(
                Request(
                    teacher: teacher, problem: problem, model: json["model"]?.string ?? "",
                    key: headers.first { $0.lowercased().hasPrefix("authorization:") },
                    seconds: Double((ContinuousClock.now - start) / .seconds(1)), connection: number, json: json,
                    headers: headers))
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
        case .steps(let steps): return Self.take(steps, connection)
        }
        let head = ["HTTP/1.1 \(status) Told", "Content-Length: \(body.utf8.count)", "Content-Type: application/json"]
        return Self.send(Array(((head + extra).joined(separator: "\r\n") + "\r\n\r\n" + body).utf8), connection)
    }

    /// Takes the steps of a reply; false if the connection must be closed.
    private static func take(_ steps: [Step], _ connection: Int32) -> Bool {
        for step in steps {
            switch step {
            case .send(let text): guard send(Array(text.utf8), connection) else { return false }
            case .bytes(let bytes): guard send(bytes, connection) else { return false }
            case .pause(let seconds): usleep(UInt32(seconds * 1e6))
            case .flood(let text):
                let bytes = Array(String(repeating: text, count: (1 << 16) / max(text.utf8.count, 1)).utf8)
                while send(bytes, connection) {}
                return false
            case .close: return false
            case .reset:
                var option = linger(l_onoff: 1, l_linger: 0)
                setsockopt(connection, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
                return false
            }
        }
        return true
    }

    private static func send(_ bytes: [UInt8], _ connection: Int32) -> Bool {
        Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
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
