import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt eval --server` with a hybrid model that a server on loopback plays.
@Suite struct ServerEvaluationTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let rows = (1...6).map {
            "{\"id\":\"id\($0)\",\"problem\":\"p\($0)\",\"answer\":\"\($0)\",\"level\":\"\($0 > 3)\"}\n"
        }
        try folder.write(rows.joined(), to: "problems.jsonl")
    }

    private func eval(_ server: FaultyServer, _ arguments: [String]) throws -> CommandResult {
        try Command.run(
            Command.ckptPath,
            ["eval", "--server", server.address("x"), "--data", "problems.jsonl", "--retry-delay", "0.05"] + arguments,
            in: folder)
    }

    /// A model that thinks about even problems and gets problem 3 right only if it thinks.
    ///
    /// The name of the model says in which form the server gives answers: with tags, with the thinking apart, or
    /// without the control tokens.
    private static func reply(_ request: JSON) -> JSON {
        var messages = request["messages"]?.array ?? []
        let prefix = messages.last?["role"]?.string == "assistant" ? messages.removeLast()["content"]?.string : nil
        let number = Int(messages.last?["content"]?.string?.trimmingPrefix { !$0.isNumber } ?? "") ?? 0
        let pThink = number.isMultiple(of: 2) ? 0.75 : 0.25
        let thinks = prefix.map { $0 == "<think>" } ?? (pThink > 0.5)
        let tag = thinks ? "<think>" : "<short>"
        let answer = "\\boxed{\(number == 3 && !thinks ? 0 : number)}"
        var message: JSON = ["role": "assistant", "content": .string(answer)]
        switch request["model"]?.string {
        case "apart" where thinks: message["reasoning_content"] = "\nwork\n"
        case "hidden": message["content"] = .string(thinks ? "\nwork\n</think>" + answer : answer)
        default:
            let start = prefix == nil ? tag : ""
            message["content"] = .string(thinks ? start + "\nwork\n</think>" + answer : start + answer)
        }
        if request["max_tokens"]?.int == 1 {
            message["content"] = request["model"]?.string == "hidden" ? "" : .string(tag)
        }
        var choice: JSON = ["index": 0, "message": message, "finish_reason": "stop"]
        if request["logprobs"]?.bool == true {
            let top: [JSON] = [
                ["token": "<think>", "logprob": .double(log(pThink))],
                ["token": "<short>", "logprob": .double(log(0.9 - pThink))],
            ]
            choice["logprobs"] = [
                "content": .array([["token": .string(tag), "logprob": -0.1, "top_logprobs": .array(top)]])
            ]
        }
        return [
            "choices": .array([choice]),
            "usage": [
                "prompt_tokens": .integer(prefix == nil ? 10 : 11),
                "completion_tokens": .integer((thinks ? 8 : 3) - (prefix == nil ? 0 : 1)),
            ],
        ]
    }

    /// A server that plays the model, changed by `change`, which may refuse a request by returning nil.
    private func server(
        change: @escaping @Sendable (_ request: JSON, _ reply: JSON) -> FaultyServer.Response? = { _, reply in
            .text(reply.serialized())
        }
    ) throws -> FaultyServer {
        try FaultyServer(
            checks: .init { request in
                change(request, Self.reply(request)) ?? .status(400, body: "{\"error\":{\"message\":\"told to\"}}")
            }
        ) { _, _, _ in .hangUp }
    }

    private static let all = ["--mode", "all", "--samples", "2", "--prompt", "plain", "--answer", "boxed"]

    private func results(_ result: CommandResult) throws -> [JSON] {
        try #require(result.status == 0, "\(result.errors)")
        return try #require(try JSON.parse(Array(result.output.utf8))["results"]?.array)
    }

    @Test func everyFormOfAnswersGivesTheSameReport() throws {
        let server = try server()
        let models = ["tags", "apart", "hidden"].flatMap { ["--model", $0] }
        let results = try results(try eval(server, Self.all + models + ["--json", "--answers", "a.jsonl"]))
        try #require(results.count == 3)
        for result in results {
            let rows = try #require(result["rows"]?.array).filter {
                $0["level"]?.isNull == true && $0["mode"]?.isNull == true
            }
            func value(_ row: JSON, _ name: String) -> Double? { row[name]?["mean"]?.double ?? row[name]?.double }
            try #require(rows.count == 3)
            #expect(rows.map { $0["condition"]?.string } == ["auto", "think", "short"])
            #expect(rows.map { $0["answers"]?.int } == [12, 12, 12])
            #expect(rows.map { value($0, "think_share") } == [0.5, 1, 0])
            #expect(rows.map { value($0, "short_share") } == [0.5, 0, 1])
            #expect(rows.map { value($0, "tokens") } == [5.5, 8, 3])
            #expect(rows.map { value($0, "prompt_and_response_tokens") } == [15.5, 18, 13])
            #expect(rows.map { value($0, "malformed_share") } == [0, 0, 0])
            for (row, accuracy) in zip(rows, [5.0 / 6, 1, 5.0 / 6]) {
                #expect(abs((row["pass_at_1"]?["boxed"]?["mean"]?.double ?? 0) - accuracy) < 1e-12)
                #expect(abs((value(row, "p_think") ?? 0) - 0.5) < 1e-12)
            }
        }
        let rows = try String(contentsOfFile: folder.path("a.jsonl"), encoding: .utf8).split(separator: "\n")
            .map { try JSON.parse(Array($0.utf8)) }
        #expect(rows.count == 3 * 36)
        #expect(Set(rows.compactMap { $0["digest"]?.string }).count == 3)
        #expect(rows.allSatisfy { $0["digest"]?.string?.hasPrefix("served: ") == true })
        for row in rows {
            let tag = "<\(row["mode"]?.string ?? "none")>"
            #expect(row["completion"]?.string?.hasPrefix(tag) == true, "\(row)")
            #expect(abs((row["p_think"]?.double ?? 0) + (row["p_short"]?.double ?? 0) - 0.9) < 1e-12)
        }
    }

    /// Samplers that a server switches on by itself are off, every answer has a seed of its own, and a forced mode is a
    /// prefix.
    @Test func requestsSayHowToSample() throws {
        let requests = Requests()
        let server = try server { request, reply in
            requests.add(request)
            return .text(reply.serialized())
        }
        _ = try results(
            try eval(
                server, Self.all + ["--max-new-tokens", "77", "--extra", "{\"min_p\": null, \"x\": 1}", "--json"]))
        let all = requests.all
        #expect(all.allSatisfy { $0["model"]?.string == "the-model" && $0["min_p"] == nil && $0["x"]?.int == 1 })
        #expect(all.allSatisfy { $0["top_k"]?.int == -1 && $0["skip_special_tokens"]?.bool == false })
        let probes = all.filter { $0["max_tokens"]?.int == 1 }
        #expect(probes.count == 6 && probes.allSatisfy { $0["top_logprobs"]?.int == 20 })
        let answers = all.filter { $0["max_tokens"]?.int == 77 }
        #expect(answers.count == 36 && Set(answers.compactMap { $0["seed"]?.int }).count == 36)
        #expect(answers.allSatisfy { $0["logprobs"] == nil && $0["temperature"]?.double == 0.6 })
        let forced = answers.filter { $0["continue_final_message"]?.bool == true }
        #expect(forced.count == 24 && forced.allSatisfy { $0["add_generation_prompt"]?.bool == false })
        #expect(forced.count { $0["messages"]?.array?.last?["content"]?.string == "<short>" } == 12)
    }

    @Test func interruptedEvaluationIsResumed() throws {
        let count = Requests()
        let server = try server { request, reply in
            if request["max_tokens"]?.int != 1 { count.add(request) }
            return .text(reply.serialized())
        }
        let arguments = Self.all + ["--json", "--answers", "a.jsonl"]
        let straight = try eval(server, arguments)
        try #require(straight.status == 0, "\(straight.errors)")
        let lines = try String(contentsOfFile: folder.path("a.jsonl"), encoding: .utf8).split(separator: "\n")
        try folder.write(lines.prefix(20).joined(separator: "\n") + "\n{\"checkpoint\":", to: "a.jsonl")
        let before = count.all.count
        let resumed = try eval(server, arguments)
        #expect(resumed.output == straight.output && count.all.count - before == 16)
        #expect(resumed.errors.contains("resuming after 20 stored answers"), "\(resumed.errors)")
        // Other members of requests make other answers.
        let other = try eval(server, arguments + ["--extra", "{\"top_k\": 20}"])
        #expect(other.status == 2 && other.errors.contains("the answers have other settings (extra"), "\(other.errors)")
    }

    @Test func besideACheckpoint() throws {
        let run = try TinyRun.made.get().folder
        try FileManager.default.copyItem(
            atPath: run.path("sft/step-000006.h5"), toPath: folder.path("sft.h5"))
        try FileManager.default.copyItem(atPath: run.path("task/test.jsonl"), toPath: folder.path("problems.jsonl.new"))
        try FileManager.default.removeItem(atPath: folder.path("problems.jsonl"))
        try FileManager.default.moveItem(
            atPath: folder.path("problems.jsonl.new"), toPath: folder.path("problems.jsonl"))
        let server = try server()
        let result = try eval(server, ["sft.h5", "--limit", "4", "--answer", "bare", "--max-new-tokens", "8"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("sft.h5  4 problems") && result.output.contains("the-model at http://127.0.0.1"))
    }

    private func diff(_ arguments: [String]) throws -> CommandResult {
        try Command.run(
            Command.ckptPath, ["diff", "--probe", "problems.jsonl", "--retry-delay", "0.05"] + arguments, in: folder)
    }

    @Test func preferencesOfTwoModelsAreCompared() throws {
        // The second model always thinks.
        let server = try server { request, reply in
            guard request["model"]?.string == "eager" else { return .text(reply.serialized()) }
            return .text(reply.serialized().replacing("-1.3862943611198906", with: "-0.05"))
        }
        let arguments = ["--server", server.address("x"), "--model", "tags", "--model", "eager"]
        let result = try diff(arguments + ["--json"])
        try #require(result.status == 0, "\(result.errors)")
        let report = try JSON.parse(Array(result.output.utf8))
        let preference = try #require(report["mode_preference"])
        #expect(report["kind"]?.string == "preference" && report["b"]?.string?.hasPrefix("eager at http://") == true)
        #expect(abs((preference["p_think_a"]?.double ?? 0) - 0.5) < 1e-12)
        #expect(abs((preference["p_think_b"]?.double ?? 0) - (0.75 + exp(-0.05)) / 2) < 1e-12)
        #expect(preference["changed_sides"]?.int == 3 && preference["prompts"]?.array?.count == 6)
        #expect(preference["levels"]?.array?.count == 2)
        let text = try diff(arguments)
        #expect(text.output.contains("3 of 6 prompts changed sides") && text.output.contains("both models asked now"))
    }

    @Test func preferenceOfACheckpointIsComparedWithAServedModel() throws {
        let run = try TinyRun.made.get().folder
        try FileManager.default.copyItem(atPath: run.path("sft/step-000006.h5"), toPath: folder.path("sft.h5"))
        let rows = (1...4).map { "{\"problem\":\"\($0)+\($0)\",\"answer\":\"\(2 * $0)\"}\n" }
        try folder.write(rows.joined(), to: "problems.jsonl")
        let server = try server()
        let arguments = ["sft.h5", "--server", server.address("x"), "--json"]
        let result = try diff(arguments)
        try #require(result.status == 0, "\(result.errors)")
        let report = try JSON.parse(Array(result.output.utf8))
        #expect(report["a"]?.string == "sft.h5" && report["b"]?.string?.hasPrefix("the-model at ") == true)
        // The checkpoint's side is that of a comparison of checkpoints.
        let own = try diff(["sft.h5", "sft.h5", "--json"])
        let both = try JSON.parse(Array(own.output.utf8))
        let expected = both["mode_preference"]?["p_think_a"]?.double ?? .nan
        #expect(abs((report["mode_preference"]?["p_think_a"]?.double ?? 0) - expected) < 1e-9)
        let silent = try self.server { _, reply in
            .text(reply.serialized().replacing("\"logprobs\"", with: "\"none\""))
        }
        let unknown = try diff(["sft.h5", "--server", silent.address("x")])
        #expect(unknown.status == 2 && unknown.errors.contains("does not tell the probabilities of first tokens"))
    }

    @Test(arguments: [
        ([], "give two checkpoints, or a run"),
        (["--server", "http://h/v1"], "--server compares two models"),
        (["a.h5", "--model", "m"], "name the server with --server"),
        (["a.h5", "b.h5", "--server", "http://h/v1"], "--server compares two models"),
        (["a.h5", "--server", "http://h/v1", "--html", "x.html"], "are for checkpoints"),
    ])
    func mistakesOfDiffAreNamed(options: [String], message: String) throws {
        let result = try diff(options)
        #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
        let unprobed = try Command.ckpt("diff", "a.h5", "--server", "http://h/v1", in: folder)
        #expect(unprobed.status == 2 && unprobed.errors.contains("--server needs --probe"), "\(unprobed.errors)")
    }

    @Test func withoutLogProbabilities() throws {
        let server = try server { request, reply in
            for name in ["skip_special_tokens", "top_k", "logprobs"] where request[name] != nil {
                return .status(400, body: "{\"error\":{\"message\":\"Unrecognized request argument: \(name)\"}}")
            }
            return .text(reply.serialized())
        }
        let results = try results(try eval(server, Self.all + ["--json", "--answers", "a.jsonl"]))
        let row = try #require(results.first?["rows"]?.array?.first)
        #expect(row["p_think"]?.isNull == true && row["think_share"]?.double == 0.5)
        let threshold = try eval(server, ["--threshold", "0.5", "--prompt", "plain"])
        #expect(
            threshold.status == 2
                && threshold.errors.contains("does not tell the probabilities of first tokens (top_logprobs)"),
            "\(threshold.errors)")
    }

    @Test func serversThatCannotBeJudged() throws {
        // The chat template closes the assistant's turn, so the answer does not continue it.
        let closing = try server { request, reply in
            var reply = reply
            if request["continue_final_message"] != nil { reply["usage"]?["prompt_tokens"] = 16 }
            return .text(reply.serialized())
        }
        let closed = try eval(closing, Self.all)
        #expect(
            closed.status == 2
                && closed.errors.contains("forcing <think> changed the prompt by 6 tokens instead of 1"),
            "\(closed.errors)")
        let silent = try server { _, reply in
            var reply = reply
            reply["usage"] = nil
            return .text(reply.serialized())
        }
        let counted = try eval(silent, Self.all)
        #expect(counted.status == 2 && counted.errors.contains("gives no counts of tokens"), "\(counted.errors)")
        let refusing = try server { request, reply in
            request["messages"]?.serialized().contains("p4") == true ? nil : .text(reply.serialized())
        }
        let refused = try eval(refusing, Self.all)
        #expect(refused.status == 2 && refused.errors.contains("no answer to problem id4: status 400"))
        // A probability that is none is not believed.
        let lying = try server { request, reply in
            let text = reply.serialized().replacing("\"logprob\":-0.", with: "\"logprob\":0.")
            return .text(text)
        }
        let lied = try results(try eval(lying, Self.all + ["--json"]))
        #expect(lied.first?["rows"]?.array?.first?["p_think"]?.isNull == true)
        let locked = try server { _, _ in .status(401) }
        let denied = try eval(locked, Self.all)
        #expect(denied.status == 2 && denied.errors.contains("--key-env"), "\(denied.errors)")
        let broken = try server { _, _ in .hangUp }
        let dead = try eval(broken, Self.all + ["--retries", "1"])
        #expect(dead.status == 2 && dead.errors.contains("after 2 attempts"), "\(dead.errors)")
        for result in [closed, counted, refused, denied, dead] {
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
    }

    @Test(arguments: [
        ([], "give a checkpoint, or a server with --server"),
        (["--model", "m"], "give a checkpoint, or a server with --server"),
        (["x.h5", "--model", "m"], "name the server with --server"),
        (["--server", "h:80"], "h:80 is not a server address"),
        (["--server", "http://u:p@h/v1"], "name the environment variable that holds the key with --key-env"),
        (["--server", "http://h/v1", "--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--server", "http://h/v1", "--extra", "[]"], "--extra must be a JSON object"),
        (["--server", "http://h/v1", "--budget", "5"], "--budget is for checkpoints only"),
        (["--server", "http://h/v1", "--weights", "bf16"], "are for checkpoints only"),
        (["--server", "http://h/v1", "--model", "a", "--model", "a"], "--model names a model twice"),
        (["--server", "http://h/v1", "--concurrency", "0"], "--concurrency"),
    ])
    func mistakesAreNamed(options: [String], message: String) throws {
        let result = try Command.run(
            Command.ckptPath, ["eval", "--data", "problems.jsonl"] + options, in: folder)
        #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
    }
}

/// The requests that a server received.
private final class Requests: @unchecked Sendable {
    private let lock = NSLock()
    private var received: [JSON] = []

    func add(_ request: JSON) { lock.withLock { received.append(request) } }

    var all: [JSON] { lock.withLock { received } }
}
