import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `distill` with servers that fail below the level of replies.
@Suite struct DistillConnectionTests {
    private func folder(problems count: Int) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write(
            (0..<count).map { "{\"id\":\"id\($0)\",\"problem\":\"p\($0)\",\"answer\":\"\($0)\"}\n" }.joined(),
            to: "problems.jsonl")
        return folder
    }

    private func distill(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:]
    ) throws -> (result: CommandResult, seconds: Double) {
        let start = ContinuousClock.now
        let result = try Command.run(
            Command.ckptPath, ["distill", "problems.jsonl", "-o", "pairs.jsonl"] + arguments, in: folder,
            environment: environment)
        return (result, Double((ContinuousClock.now - start) / .seconds(1)))
    }

    private static func number(_ problem: String) -> Int { Int(problem.dropFirst()) ?? -1 }

    private static func right(_ problem: String) -> FaultyServer.Response {
        .completion(content: "<think>w</think>\\boxed{\(number(problem))}")
    }

    private func keptIDs(_ folder: TemporaryFolder) throws -> [String] {
        try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8).split(separator: "\n").map {
            try JSON.parse(Array($0.utf8))["id"]?.string ?? ""
        }
    }

    /// The first reply to each problem drops, stalls or lies in another place; later ones are whole.
    private static func faults(_ problem: String) -> FaultyServer.Response {
        let half = FaultyServer.events(["<think>w</think>", "\\boxed{"], finish: nil, done: false)
        let head = "HTTP/1.1 200 OK\r\n"
        switch number(problem) {
        case 0: return .hangUp
        case 1: return .steps([.reset])
        case 2: return .steps([.send("HTTP/1.")])
        case 3: return .steps([.send(head + "Content-Le"), .close])
        case 4: return .steps([.send(head + "Content-Length: 100\r\n\r\n{\"choices\":"), .close])
        case 5: return .steps([.send(head + "Content-Length: 100\r\n\r\n{\"choices\":"), .reset])
        case 6: return .steps([.send(head + "Content-Length: 100\r\n\r\n{\"choices\":"), .pause(seconds: 2), .close])
        case 7: return FaultyServer.stream([Array(half.utf8)], isWhole: false)
        case 8: return FaultyServer.stream([Array(half.utf8)])
        case 9: return .steps([.send(head + "\r\n" + half), .close])
        case 10: return .steps([.send(head + "Content-Length: -7\r\n\r\n{}"), .close])
        case 11: return .steps([.send(head + "Content-Length: 9\r\n\r\n{\"choices\":[]}"), .close])
        case 12: return .steps([.send("no HTTP\n"), .close])
        case 13: return .steps([.send(head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")])
        case 14: return .steps([.send(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), .close])
        case 15: return .status(503, headers: ["Retry-After: \(date(in: 1))"])
        default: return right(problem)
        }
    }

    private static func date(in seconds: Double) -> String {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return format.string(from: Date(timeIntervalSinceNow: seconds))
    }

    @Test func everyFaultIsRetried() throws {
        let folder = try folder(problems: 20)
        // The third and the fifth connection are closed before a request is read.
        let server = try FaultyServer(drops: { $0 == 2 || $0 == 4 }) { _, problem, before in
            before == 0 ? Self.faults(problem) : Self.right(problem)
        }
        let (result, seconds) = try distill(
            ["--think-teacher", server.address("think"), "--keep", "correct", "--retry-delay", "0.05"]
                + ["--idle-timeout", "1", "--concurrency", "4"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try keptIDs(folder) == (0..<20).map { "id\($0)" })
        #expect(seconds < 20, "\(seconds)")
        #expect(server.requests.allSatisfy { $0.headers.contains { $0.hasPrefix("User-Agent: ckpt/") } })
    }

    /// Without retries, a fault leaves its problem to the next run, which asks for nothing else.
    @Test func everyFaultCanBeResumed() throws {
        let folder = try folder(problems: 40)
        let server = try FaultyServer { _, problem, before in
            let number = Self.number(problem)
            return before == 0 && number % 2 == 0 && number < 32
                ? Self.faults("p\(number / 2)") : Self.right(problem)
        }
        let arguments = [
            "--think-teacher", server.address("think"), "--keep", "correct", "--retries", "0", "--idle-timeout", "1",
            "--concurrency", "4",
        ]
        let first = try distill(arguments, in: folder).result
        #expect(first.status == 2, "\(first.output)")
        #expect(first.errors.contains("run again with --resume"), "\(first.errors)")
        let before = server.requests.count
        let second = try distill(arguments + ["--resume"], in: folder).result
        #expect(second.status == 0, "\(second.errors)")
        let kept = try keptIDs(folder)
        #expect(kept == (0..<40).map { "id\($0)" }, "\(kept), \(second.output)")
        #expect(server.requests.count - before <= 17)
    }

    /// A connection that the server drops between two requests costs no delay and counts as no retry.
    @Test func aKeptConnectionThatDropsIsReplacedAtOnce() throws {
        let folder = try folder(problems: 5)
        let server = try FaultyServer { _, problem, before in
            problem == "p2" && before == 0 ? .hangUp : Self.right(problem)
        }
        let (result, seconds) = try distill(
            ["--think-teacher", server.address("think"), "--concurrency", "1", "--retry-delay", "30"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(seconds < 15, "\(seconds)")
        #expect(!result.output.contains("retr"), "\(result.output)")
        #expect(server.requests.map(\.problem) == ["p0", "p1", "p2", "p2", "p3", "p4"])
        #expect(Set(server.requests.map(\.connection)).count == 2)
    }

    @Test func floodsEndAtOnce() throws {
        let zeros = try Command.run("sh", ["-c", "head -c 200000000 /dev/zero | gzip -9 | od -An -v -tx1"])
        let bomb = zeros.output.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
        #expect(bomb.count > 100_000)
        let head = "HTTP/1.1 200 OK\r\n"
        let floods: [(FaultyServer.Response, String)] = [
            (.steps([.send(head + "\r\n"), .flood("data: {}\n\n")]), "the reply is over 64 MiB"),
            (.steps([.send(head + "\r\n"), .flood("{")]), "the reply is over 64 MiB"),
            (.steps([.send(head + "Content-Length: 99999999999\r\n\r\n{")]), "the reply is over 64 MiB"),
            (FaultyServer.reply(bomb, headers: ["Content-Encoding: gzip"]), "the reply is over 64 MiB"),
            (.steps([.send(head), .flood("X-More: and more\r\n")]), "the head of the reply is over 256 KiB"),
            (.steps([.flood("HTTP/1.1 100 Continue\r\n\r\n")]), "the head of the reply is over 256 KiB"),
        ]
        for (flood, message) in floods {
            let folder = try folder(problems: 1)
            let server = try FaultyServer { _, _, _ in flood }
            let (result, seconds) = try distill(
                ["--think-teacher", server.address("think"), "--retries", "0"], in: folder)
            #expect(result.status != 0)
            #expect((result.errors + result.output).contains(message), "\(result.errors)\(result.output)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
            #expect(seconds < 20, "\(seconds)")
        }
    }

    @Test func streams() throws {
        let folder = try folder(problems: 6)
        let parts = ["<think>\nzwölf ≈ 𝟏𝟐", "</think>", "\n\\boxed", "{"]
        let server = try FaultyServer { _, problem, _ in
            let number = Self.number(problem)
            let events = FaultyServer.events(parts + ["\(number)", "}"], done: number != 1)
            switch number {
            // Each byte for itself, so that characters come in parts.
            case 0, 1: return FaultyServer.stream(events.utf8.map { [$0] })
            case 2: return FaultyServer.stream([Array(events.replacing("\n", with: "\r\n").utf8)])
            case 3: return .steps([.send("HTTP/1.1 200 OK\r\n\r\n" + events), .close])
            case 4:
                return FaultyServer.stream([
                    Array(FaultyServer.events(["<think>w</think>\\boxed{4", "}"], finish: nil).utf8)
                ])
            default: return FaultyServer.stream([Array(FaultyServer.events(["<think>on and"], finish: "length").utf8)])
            }
        }
        let result = try distill(
            ["--think-teacher", server.address("think"), "--concurrency", "2", "--retries", "0", "--json"], in: folder
        ).result
        #expect(result.status == 0, "\(result.errors)")
        #expect(try keptIDs(folder) == (0..<5).map { "id\($0)" })
        let report = try JSON.parse(Array(result.output.utf8))
        #expect(report["dropped"]?.array?.map { $0["reason"]?.string } == ["think-truncated"])
        #expect(report["right"]?["think"] == ["right": 5, "of": 6])
        #expect(report["lengths"]?["think"]?["unit"]?.string == "tokens")
        let pairs = try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8)
        #expect(pairs.contains("zwölf ≈ 𝟏𝟐"))
    }

    /// What a server does not take is left out of further requests.
    @Test func membersThatAServerRefuses() throws {
        let folder = try folder(problems: 6)
        let strict = FaultyServer.Checks { json in
            if json["stream_options"] != nil {
                return .status(
                    422,
                    body: #"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#)
            }
            if json["stream"]?.bool == true {
                return .status(400, body: #"{"message":"This model does not support streaming"}"#)
            }
            if json["max_tokens"] != nil {
                return .status(400, body: #"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#)
            }
            return json["seed"] == nil ? nil : .status(400, body: #"{"error":"unknown member"}"#)
        }
        let picky = try FaultyServer(checks: strict) { _, problem, _ in Self.right(problem) }
        let result = try distill(
            ["--think-teacher", picky.address("think"), "--concurrency", "3", "--retries", "0"]
                + ["--think-extra", #"{"seed":null,"random_seed":3}"#], in: folder
        ).result
        #expect(result.status == 0, "\(result.errors)")
        #expect(try keptIDs(folder).count == 6)
        #expect(picky.requests.last?.json["max_completion_tokens"]?.int == 8192)
    }

    @Test func addressesAndProxies() throws {
        let dead = ["http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9", "no_proxy": ""]
        let six = try FaultyServer(isIPv6: true) { _, problem, _ in Self.right(problem) }
        let four = try FaultyServer { _, problem, _ in Self.right(problem) }
        // Loopback is asked directly, by any of its names.
        for address in [
            six.address("think"), four.address("think"), "http://localhost:\(four.port)/think/v1",
        ] {
            let result = try distill(
                ["--think-teacher", address, "--retries", "0"], in: try folder(problems: 1), environment: dead
            ).result
            #expect(result.status == 0, "\(address): \(result.errors)")
        }
        // Another host through a proxy, which sees the whole address.
        let remote = ["--think-teacher", "http://teacher.invalid/v1", "--think-model", "m", "--retries", "0"]
        let proxy = "http://127.0.0.1:\(four.port)"
        let (byFlag, byVariable) = (try folder(problems: 1), try folder(problems: 1))
        #expect(try distill(remote + ["--proxy", proxy], in: byFlag, environment: dead).result.status == 0)
        #expect(try distill(remote, in: byVariable, environment: ["http_proxy": proxy]).result.status == 0)
        #expect(four.requests.suffix(2).allSatisfy { $0.teacher == "http:" })
        // A password of the proxy is not shown.
        let refused = try distill(
            remote + ["--proxy", "http://me:secret@127.0.0.1:9"], in: try folder(problems: 1)
        ).result
        #expect(refused.status == 2 && !refused.errors.contains("secret"), "\(refused.errors)")
        // Nothing listens there.
        let nobody = try distill(
            ["--think-teacher", "http://[::1]:9/v1", "--retries", "0"], in: try folder(problems: 1)
        ).result
        #expect(nobody.status == 2 && nobody.errors.contains("failed to connect to ::1 port 9"), "\(nobody.errors)")
    }
}
