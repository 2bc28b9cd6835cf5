import Foundation
import OrderedJSON
import TestSupport
import Testing

@Suite struct DistillTests {
    /// `count` problems whose answer is their number.
    private func problems(_ count: Int, in folder: TemporaryFolder) throws {
        try folder.write(
            (0..<count).map { "{\"id\":\"id\($0)\",\"problem\":\"p\($0)\",\"answer\":\"\($0)\"}\n" }.joined(),
            to: "problems.jsonl")
    }

    private func number(_ problem: String) -> Int { Int(problem.drop { !$0.isNumber }) ?? -1 }

    private func ckpt(_ arguments: [String], in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(
            Command.ckptPath, ["distill", "problems.jsonl"] + arguments, in: folder,
            environment: ["NO_PROXY": "127.0.0.1", "TEACHER_KEY": "secret"])
    }

    /// The key is in none of the outputs, however the server sends it back.
    @Test func aKeyThatComesBackIsNotShown() throws {
        let key = "sk-0123456789/abcdef"
        let escaped = "sk-0123456789\\/\\u0061bcdef"
        let padding = String(repeating: "x", count: 190)
        let replies: [FaultyServer.Response] = [
            .status(401, body: "{\"error\":{\"message\":\"wrong key \(escaped)\"}}"),
            .status(401, body: "Bearer \(key)"), .status(401, body: "{\"detail\":[\"\(padding)\",\"\(escaped)\"]}"),
            .status(403, body: padding + key), .status(404, body: "\(key)\u{301}"), .text("no completion \(key)"),
            .status(302, headers: ["Location: http://127.0.0.1:9/?key=\(key)"]),
            .completion(content: "<think>\(key)</think>\(key)"),
            .completion(content: "</think>1", reasoning: "my key is \(key)"),
        ]
        for (index, reply) in replies.enumerated() {
            let folder = try TemporaryFolder()
            try problems(9, in: folder)
            let server = try FaultyServer { _, _, _ in reply }
            let result = try Command.run(
                Command.ckptPath,
                ["distill", "problems.jsonl", "-o", "pairs.jsonl", "--keep", "all", "--think-key-env", "TEACHER_KEY"]
                    + ["--think-model", "m", "--retries", "0", "--think-teacher", server.address("think")],
                in: folder, environment: ["NO_PROXY": "127.0.0.1", "TEACHER_KEY": key])
            var texts = [result.output, result.errors]
            for name in try folder.names() where name != "problems.jsonl" {
                texts.append(try String(contentsOfFile: folder.path(name), encoding: .utf8))
            }
            for text in texts { #expect(!text.contains("0123456789"), "reply \(index): \(text)") }
            #expect(server.requests.contains { $0.key?.hasSuffix("Bearer \(key)") == true })
        }
    }

    /// A key in the address of a server is refused, because the address is shown and stored.
    @Test(arguments: [
        "https://user:sk-0123456789@127.0.0.1:9/v1", "http://sk-0123456789@127.0.0.1:9/v1",
        "http://127.0.0.1:9/v1?api_key=sk-0123456789", "HTTP://user:sk-0123456789@127.0.0.1:9/v1",
        "http://127.0.0.1:9/v1#sk-0123456789", "ftp://user:sk-0123456789@127.0.0.1/",
    ])
    func aKeyInTheAddressIsRefused(address: String) throws {
        for flag in ["--think-teacher", "--short-teacher"] {
            let folder = try TemporaryFolder()
            try problems(2, in: folder)
            let other = flag == "--think-teacher" ? [] : ["--think-teacher", "problems.jsonl"]
            let result = try ckpt(other + [flag, address, "-o", "pairs.jsonl", "--retries", "0"], in: folder)
            #expect(result.status == 2)
            #expect(result.errors.split(separator: "\n").count == 1)
            #expect(result.errors.contains("--think-key-env or --short-key-env"), "\(result.errors)")
            #expect(!(result.errors + result.output).contains("0123456789"), "\(result.errors)")
            #expect(try folder.names() == ["problems.jsonl"])
        }
    }

    private func teachers(_ server: FaultyServer) -> [String] {
        ["--think-teacher", server.address("think"), "--short-teacher", server.address("short")]
    }

    private func rows(_ path: String) throws -> [JSON] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
    }

    @Test func serverFailures() throws {
        let folder = try TemporaryFolder()
        try problems(16, in: folder)
        let server = try FaultyServer { teacher, problem, before in
            let number = Int(problem.dropFirst()) ?? -1
            let think = FaultyServer.Response.completion(
                content: "<think>\nw\(number)\n</think>\n\nSo \\boxed{\(number)}")
            guard teacher == "think" else {
                switch number {
                case 9: return .completion(content: "\\boxed{0}")
                case 10: return .completion(content: "It goes on and", finish: "length")
                default: return .completion(content: "The answer is \(number).")
                }
            }
            switch (number, before) {
            case (1, 0), (1, 1): return .status(500)
            case (2, 0): return .status(429, headers: ["Retry-After: 1"])
            case (3, 0): return .hangUp
            case (4, 0): return .silence(seconds: 3)
            case (5, 0): return .text("<html>bad gateway</html>")
            case (6, 0): return .text("{\"choices\":[]}")
            case (7, _): return .status(400, body: "{\"error\":{\"message\":\"the prompt is too long\"}}")
            case (8, _): return .completion(content: "<think>\non and on", finish: "length")
            case (11, _): return .status(503)
            case (12, _): return .completion(content: "\n\\boxed{12}", reasoning: "came apart")
            case (13, _): return .completion(content: "no thinking: 13")
            case (14, _): return .completion(content: "<think>a</think>b</think>\\boxed{14}")
            case (15, _): return .completion(content: "", finish: "content_filter")
            default: return think
            }
        }
        let common =
            teachers(server) + [
                "-o", "pairs.jsonl", "--keep", "correct", "--think-key-env", "TEACHER_KEY", "--retry-delay", "0.02",
                "--retries", "3", "--timeout", "1", "--concurrency", "8",
            ]
        let result = try ckpt(common + ["--json"], in: folder)
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("1 problem got no answer"), "\(result.errors)")
        #expect(result.errors.contains("status 503, \"told to fail\", after 4 attempts"))
        let report = try JSON.parse(Array(result.output.utf8))
        #expect(report["kept"]?.int == 8)
        #expect(report["unanswered"]?.int == 1)
        let dropped = Dictionary(
            uniqueKeysWithValues: try #require(report["dropped"]?.array).map {
                ($0["reason"]?.string ?? "", $0["example"]?.string ?? "")
            })
        #expect(
            dropped == [
                "no-think-answer": "id7", "think-truncated": "id8", "short-wrong": "id9", "short-truncated": "id10",
                "think-without-end": "id13", "stray-tag": "id14",
            ])
        #expect(result.output.contains("the prompt is too long"))
        let pairs = try rows(folder.path("pairs.jsonl"))
        #expect(pairs.map { $0["id"]?.string } == [0, 1, 2, 3, 4, 5, 6, 12].map { "id\($0)" })
        #expect(pairs[0]["think"]?.string == "w0\n</think>\n\nSo \\boxed{0}")
        #expect(pairs[0]["short"]?.string == "The answer is 0.\n\n\\boxed{0}")
        #expect(pairs[7]["think"]?.string == "came apart</think>\n\\boxed{12}")

        let requests = server.requests
        func times(_ problem: String) -> [Double] {
            requests.filter { $0.teacher == "think" && $0.problem == problem }.map(\.seconds)
        }
        #expect(times("p1").count == 3 && times("p7").count == 1 && times("p11").count == 4)
        // The client waited as long as the server asked.
        #expect(times("p2").count == 2 && times("p2")[1] - times("p2")[0] >= 1)
        #expect(requests.filter { $0.teacher == "think" }.allSatisfy { $0.key?.hasSuffix("Bearer secret") == true })
        #expect(requests.filter { $0.teacher == "short" }.allSatisfy { $0.key == nil && $0.model == "the-model" })
        // The short answer of p11 is stored, so only the long one is requested again.
        let again = try ckpt(common + ["--resume"], in: folder)
        #expect(again.status == 2)
        #expect(Set(server.requests.dropFirst(requests.count).map(\.problem)) == ["p11"])
        #expect(server.requests.dropFirst(requests.count).allSatisfy { $0.teacher == "think" })
        // Other options for stored answers send no requests.
        let count = server.requests.count
        let looser = try ckpt(
            common.map { $0 == "correct" ? "all" : $0 }
                + ["--resume", "--untagged", "working", "--limit", "11", "--answer-form", "bare"], in: folder)
        #expect(looser.status == 0, "\(looser.errors)")
        #expect(server.requests.count == count)
        #expect(try rows(folder.path("pairs.jsonl")).count == 8)
        #expect(try rows(folder.path("pairs.jsonl"))[0]["short"]?.string == "0")
        // Answers with other settings are not mixed.
        let other = try ckpt(common + ["--resume", "--think-temperature", "0.7"], in: folder)
        #expect(other.status == 2)
        #expect(other.errors.contains("think temperature 0.6, not 0.7"), "\(other.errors)")
        let refused = try ckpt(common, in: folder)
        #expect(refused.errors.contains("--resume to go on") && refused.status == 2)
    }

    @Test func resumingAfterKillsAsksNothingTwice() throws {
        let folder = try TemporaryFolder()
        try problems(60, in: folder)
        let server = try FaultyServer(delay: 0.02) { teacher, problem, _ in
            let number = problem.dropFirst()
            return .completion(
                content: teacher == "think" ? "<think>\nw\(number)</think>\n\\boxed{\(number)}" : "\\boxed{\(number)}")
        }
        let common = teachers(server) + ["--concurrency", "4"]
        let straight = try ckpt(common + ["-o", "straight.jsonl"], in: folder)
        #expect(straight.status == 0, "\(straight.errors)")
        let before = server.requests.count
        #expect(before == 120)

        var kills = 0
        for attempt in 0..<4 {
            let process = Command.process(
                Command.ckptPath,
                ["distill", "problems.jsonl", "-o", "killed.jsonl"] + common + (attempt > 0 ? ["--resume"] : []),
                in: folder)
            process.environment?["NO_PROXY"] = "127.0.0.1"
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            let answered = { (try? rows(folder.path("killed.jsonl.answers")).count) ?? 0 }
            let wanted = 1 + 25 * (attempt + 1)
            try process.run()
            while process.isRunning, answered() < wanted { usleep(2000) }
            if process.isRunning { kills += 1 }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            // The result of a kill in the middle of a write.
            if attempt == 1 {
                let file = try #require(FileHandle(forWritingAtPath: folder.path("killed.jsonl.answers")))
                try file.seekToEnd()
                try file.write(contentsOf: Data("{\"problem\":59,\"mo".utf8))
            }
        }
        #expect(kills == 4)
        let rest = try ckpt(common + ["-o", "killed.jsonl", "--resume"], in: folder)
        #expect(rest.status == 0, "\(rest.errors)")
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: folder.path("straight.jsonl")))
                == Data(contentsOf: URL(fileURLWithPath: folder.path("killed.jsonl"))))
        // Only the requests in progress at a kill were repeated.
        #expect(server.requests.count - before <= 120 + 4 * 2 * 4)
        let answers = try rows(folder.path("killed.jsonl.answers")).dropFirst()
        #expect(answers.count == 120)
        #expect(Set(answers.map { "\($0["problem"]?.int ?? -1) \($0["mode"]?.string ?? "")" }).count == 120)
    }

    @Test func withoutAPairTheStatusIsOne() throws {
        let folder = try TemporaryFolder()
        try problems(4, in: folder)
        let server = try FaultyServer { _, problem, _ in
            switch problem {
            case "p0": .completion(content: "no thinking")
            case "p1": .completion(content: "<think>w</think>\\boxed{1}", finish: "length")
            default: .completion(content: "<think>w</think>It is 9.")
            }
        }
        let result = try ckpt(["-o", "pairs.jsonl", "--think-teacher", server.address("think")], in: folder)
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("pairs.jsonl: no pair kept from 4 problems"), "\(result.errors)")
        #expect(result.errors.contains("its result is not the known one (2)"), "\(result.errors)")
        let grades = "right answers: think 0 of 4 (0.0 %), short 0 of 4 (0.0 %)\n"
        #expect(result.output.hasSuffix(grades), "\(result.output)")
    }

    @Test func recordedAnswersAndLocalCheckpoints() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try problems(3, in: folder)
        try folder.write(
            """
            {"problem":"p0","generations":["<think>no end","<think>wrong</think>\\\\boxed{5}","<think>w</think>\\\\boxed{0}"],"is_reasoning_complete":[false,true,true],"correctness_math_verify":[false,false,true]}
            {"conversations":[{"from":"user","value":"p1"},{"from":"assistant","value":"<|begin_of_thought|>t<|end_of_thought|><|begin_of_solution|>It is 1.<|end_of_solution|>"}]}

            """, to: "recorded.jsonl")
        let single = try ckpt(["-o", "single.jsonl", "--think-teacher", "recorded.jsonl"], in: folder)
        #expect(single.status == 0, "\(single.errors)")
        let pairs = try rows(folder.path("single.jsonl"))
        #expect(pairs.map { $0["think"]?.string } == ["w</think>\\boxed{0}", "t</think>It is 1.\n\n\\boxed{1}"])
        #expect(pairs.map { $0["short"]?.string } == ["\\boxed{0}", "It is 1.\n\n\\boxed{1}"])
        #expect(single.output.contains("the think teacher has no answer, first id2 (no answer is recorded)"))

        // A model of the embedded task answers with both modes forced; the batch size does not change the answers.
        try folder.write(
            "{\"problem\":\"12+3?\",\"answer\":\"5\"}\n{\"problem\":\"7*3-1?\",\"answer\":\"0\"}\n",
            to: "problems.jsonl")
        let model = whole.path("sft/step-000006.h5")
        let local = [
            "--think-teacher", model, "--short-teacher", model, "--think-max-tokens", "40", "--answer-form", "as-is",
            "--truncated", "clip", "--untagged", "working",
        ]
        var answers: [String] = []
        for concurrency in ["1", "8"] {
            let result = try ckpt(
                local + ["-o", "local\(concurrency).jsonl", "--concurrency", concurrency], in: folder)
            // The answers of this model give no pair.
            #expect(result.status == 1, "\(result.errors)")
            let rows = try rows(folder.path("local\(concurrency).jsonl.answers")).dropFirst()
            #expect(rows.count == 4)
            for row in rows {
                #expect(row["text"]?.string?.hasPrefix("<\(row["mode"]?.string ?? "")>") == true)
            }
            answers.append(rows.map { $0.serialized() }.sorted().joined())
        }
        #expect(answers[0] == answers[1])

        // Without limits of tokens, those of the model hold, and are said.
        let model512 = local.filter { $0 != "--think-max-tokens" && $0 != "40" }
        let unlimited = try ckpt(model512 + ["-o", "unlimited.jsonl"], in: folder)
        #expect(unlimited.errors.contains("think teacher \(model): answers of at most "), "\(unlimited.errors)")
        #expect(unlimited.errors.contains("--short-max-tokens sets another limit"), "\(unlimited.errors)")
        let tooLong = try ckpt(model512 + ["-o", "long.jsonl", "--think-max-tokens", "1000000"], in: folder)
        #expect(tooLong.status == 2 && tooLong.errors.contains("--think-max-tokens must be under the model's"))
    }

    @Test(arguments: [
        (["--think-teacher", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--think-teacher", "http://"], "http:// is not a server address"),
        (["--think-teacher", "http://127.0.0.1:9/v1", "--retries", "1", "--retry-delay", "0.01"], "127.0.0.1:9"),
        (["--think-teacher", "problems.jsonl"], "problems.jsonl, line 1: no recorded answer found"),
        (["--think-teacher", "a.jsonl", "--think-model", "m"], "--think-model is for servers only"),
        (["--think-teacher", "http://127.0.0.1:9/v1", "--think-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--think-teacher", "problems.jsonl", "--think-prompt", "hm"], "--think-prompt must contain {problem}"),
        (["--think-teacher", "problems.jsonl", "--resume"], "leave --resume out"),
    ])
    func mistakesGiveOneLine(arguments: [String], message: String) throws {
        let folder = try TemporaryFolder()
        try problems(2, in: folder)
        let result = try ckpt(["-o", "pairs.jsonl"] + arguments, in: folder)
        #expect(result.status == 2)
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("pairs.jsonl")))
    }

    @Test func refusingServerEndsTheRun() throws {
        for (status, message) in [(401, "--think-key-env"), (404, "check the address"), (400, "refuses all requests")] {
            let folder = try TemporaryFolder()
            try problems(40, in: folder)
            let server = try FaultyServer { _, _, _ in .status(status) }
            let result = try ckpt(
                ["-o", "pairs.jsonl", "--think-teacher", server.address("think"), "--concurrency", "2"], in: folder)
            #expect(result.status == 2)
            #expect(result.errors.contains(message), "\(result.errors)")
            #expect(server.requests.count <= 12)
        }
    }
}
