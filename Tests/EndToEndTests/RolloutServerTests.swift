import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt train-rl --rollout-server` with servers on loopback that sample from a real model.
@Suite struct RolloutServerTests {
    private let folder: TemporaryFolder

    init() throws {
        let run = try TinyRun.made.get().folder
        folder = try TemporaryFolder()
        for (from, to) in [
            ("sft/step-000006.h5", "start.h5"), ("tokens.h5", "tokens.h5"), ("task/rl.jsonl", "rl.jsonl"),
        ] {
            try FileManager.default.copyItem(atPath: run.path(from), toPath: folder.path(to))
        }
    }

    /// A learning rate at which one update changes log-probabilities by much more than rounding does.
    private static let common = [
        "--data", "rl.jsonl", "--steps", "3", "--prompts", "4", "--samples", "4", "--max-new-tokens", "24", "--answer",
        "bare", "--alpha", "1", "--lr", "1e-2", "--save-every", "9", "--reward-short-wrong", "0.5",
        "--reward-think-wrong", "-0.5", "--balance", "1", "--retry-delay", "0.05", "--retries", "2",
        "--log-probabilities",
    ]

    private func train(_ servers: [InferenceServer], _ options: [String] = []) throws -> CommandResult {
        try Command.run(
            Command.ckptPath,
            ["train-rl", "start.h5", "-o", "run"] + Self.common
                + servers.flatMap { ["--rollout-server", $0.address] } + options, in: folder)
    }

    private func metrics() throws -> [JSON] {
        try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
    }

    private func values(_ name: String) throws -> [Double] { try metrics().compactMap { $0[name]?.double } }

    /// How a server of this kind gets new weights; llama-server's is told a file.
    ///
    /// The command leaves a process behind, as one that starts a server does.
    private func sync(_ kind: InferenceServer.Kind) -> [String] {
        kind == .llama ? ["--sync-command", "printf %s \"$CKPT_WEIGHTS\" > weights; sleep 60 &"] : []
    }

    @Test(arguments: InferenceServer.Kind.allCases, [[], ["--temperature", "0.7"]])
    func everyServerGetsEveryUpdate(kind: InferenceServer.Kind, options: [String]) throws {
        let servers = try [0, 1].map { _ in try InferenceServer(kind, "start.h5", in: folder) }
        let result = try train(servers, sync(kind) + options)
        try #require(result.status == 0, "\(result.errors)")
        let differences = try values("sampler_difference_mean")
        #expect(differences.count == 3 && differences.allSatisfy { $0 < 1e-4 }, "\(differences)")
        #expect(try values("sampler_weight_mean").allSatisfy { abs($0 - 1) < 1e-3 })
        #expect(try values("seconds_sync").count == 3)
        for server in servers {
            // Before each of three steps; what was told at first may be what the server has.
            #expect(server.loads.count == 3 && Set(server.loads).count == 3, "\(server.loads)")
            #expect(server.loads.allSatisfy { $0.hasPrefix("/") && $0.contains("/run/served/step-00000") })
            #expect(!server.requests.isEmpty)
        }
        // Both servers sample, all samples of a prompt on one of them; their seeds differ.
        let requests = servers.flatMap(\.requests)
        #expect(requests.count == 3 * 16 && servers.allSatisfy { $0.requests.count == 3 * 8 })
        if kind != .sglang {
            #expect(Set(requests.compactMap { $0["seed"]?.int }).count == requests.count)
        }
        // Only the newest weights stay.
        let left = try folder.names(in: "run/served").filter { $0.hasPrefix("step-") }
        #expect(left.allSatisfy { $0.hasPrefix("step-000002") } && !left.isEmpty, "\(left)")
        let start = try CheckpointFile(path: folder.path("start.h5")).weightsDigest
        #expect(try CheckpointFile(path: folder.path("run/step-000003.h5")).weightsDigest != start)
        let rows = try String(contentsOfFile: folder.path("run/rollouts/step-000001.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        for row in rows {
            let (own, server) = (row["log_probabilities"]?.array, row["server_log_probabilities"]?.array)
            #expect(own?.count == row["tokens"]?.int && server?.count == own?.count)
            // A forced token has no probability on the server.
            #expect(row["forced"]?.bool != true || server?.first?.isNull == true)
        }
        #expect(rows.count { $0["forced"]?.bool == true } == 8)
    }

    @Test func adaptersAreLoadedInPlace() throws {
        let server = try InferenceServer(.vLLM, "start.h5", in: folder)
        let result = try train([server], ["--lora", "r=4,rows=none"])
        try #require(result.status == 0, "\(result.errors)")
        #expect(try values("sampler_difference_mean").allSatisfy { $0 < 1e-4 })
        #expect(server.loads.count == 3 && server.requests.allSatisfy { $0["model"]?.string == "ckpt" })
        // Trained rows are no part of an adapter that vLLM reads, so the merged model is sent.
        let other = try InferenceServer(.vLLM, "start.h5", in: folder)
        let rows = try train([other], ["--lora", "r=4", "--force"])
        #expect(rows.status == 0, "\(rows.errors)")
        #expect(other.loads.count == 3 && other.requests.allSatisfy { $0["model"]?.string == "base" })
    }

    /// With --async-steps 1 the responses of a step are sampled before the weights of that step are there, and short
    /// samples compare the servers.
    @Test func samplingOverlapsTheUpdate() throws {
        let server = try InferenceServer(.sglang, "start.h5", in: folder)
        let options = ["--async-steps", "1", "--steps", "4"]
        let result = try train([server], options)
        try #require(result.status == 0, "\(result.errors)")
        // Two steps of 16 responses from the first weights; later the next step, and four samples for the comparison.
        #expect(server.loads.count == 4 && server.requestsByLoads == [1: 32, 2: 20, 3: 20, 4: 4])
        #expect(try values("sampler_difference_mean").allSatisfy { $0 < 1e-4 })
        let weights = try values("sampler_weight_mean")
        #expect(abs(weights[0] - 1) < 1e-3 && weights[1...].allSatisfy { abs($0 - 1) > 1e-6 }, "\(weights)")
        #expect(try values("seconds_wait").count == 3)
        let state = try CheckpointFile(path: folder.path("run/step-000004.h5")).metadata.trainingState ?? ""
        #expect(try JSON.parse(state)["data_position"]?.int == 16)
        #expect(try JSON.parse(state)["options"]?["async_steps"]?.int == 1)

        // Every step has its own problems, the same as without the overlap.
        func problems(_ step: Int) throws -> [String] {
            try String(contentsOfFile: folder.path("run/rollouts/step-00000\(step).jsonl"), encoding: .utf8)
                .split(separator: "\n").compactMap { try JSON.parse(Array($0.utf8))["id"]?.string }
        }
        let overlapping = try (1...4).map(problems)
        let plain = try train([try InferenceServer(.sglang, "start.h5", in: folder)], ["--steps", "4", "--force"])
        #expect(plain.status == 0, "\(plain.errors)")
        #expect(try (1...4).map(problems) == overlapping)

        let stale = try InferenceServer(.sglang, "start.h5", in: folder, .init(ignoresWeights: true))
        let stopped = try train([stale], options + ["--force"])
        #expect(stopped.status == 2 && stopped.errors.contains("it probably samples from old weights"))
        #expect(stopped.errors.contains("step 2: ") && stopped.errors.contains("run/step-000001.h5"))
        let resumed = try Command.run(
            Command.ckptPath,
            ["train-rl", "--resume", "run", "--data", "rl.jsonl", "--rollout-server", server.address], in: folder)
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try (1...4).map(problems) == overlapping)
    }

    /// A server that keeps old weights is caught at the first step that needs new ones, and the run goes on from there.
    @Test(arguments: InferenceServer.Kind.allCases) func oldWeightsAreNoticed(kind: InferenceServer.Kind) throws {
        let stale = try InferenceServer(kind, "start.h5", in: folder, .init(ignoresWeights: true))
        let fresh = try InferenceServer(kind, "start.h5", in: folder)
        let result = try train([fresh, stale], sync(kind))
        #expect(result.status == 2)
        let error = result.errors.split(separator: "\n").last.map(String.init) ?? ""
        #expect(
            error.contains("step 2: \(stale.address): its log-probabilities differ from the model's by"), "\(error)")
        #expect(error.contains("it probably samples from old weights"), "\(error)")
        #expect(error.contains("the last good state is run/step-000001.h5"), "\(error)")
        let resumed = try Command.run(
            Command.ckptPath,
            ["train-rl", "--resume", "run", "--data", "rl.jsonl", "--rollout-server", fresh.address] + sync(kind),
            in: folder)
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try values("step") == [1, 2, 3])
        let digest = try CheckpointFile(path: folder.path("run/step-000003.h5")).metadata.history["rl"]
        #expect(digest?["sampler_difference_mean"]?.count == 3)
    }

    @Test func otherWeightsAreNoticedAtTheFirstStep() throws {
        let server = try InferenceServer(.sglang, "tokens.h5", in: folder, .init(ignoresWeights: true))
        let result = try train([server])
        #expect(result.status == 2 && result.errors.contains("step 1: \(server.address): its log-probabilities differ"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("run/step-000001.h5")))
    }

    @Test func otherTemperaturesAreNoticed() throws {
        // It says what it does.
        let honest = try InferenceServer(.vLLM, "start.h5", in: folder, .init(temperatureFactor: 0.05))
        let first = try train([honest])
        #expect(
            first.status == 2 && first.errors.contains("it samples at another temperature than 1.0"), "\(first.errors)")
        // It reports the log-probabilities of the wanted temperature, so only its tokens give it away.
        let lying = try InferenceServer(
            .vLLM, "start.h5", in: folder, .init(temperatureFactor: 0.05, reportedTemperature: 1))
        let second = try train([lying], ["--force"])
        #expect(second.status == 2 && second.errors.contains("it samples at another temperature than 1.0"))
        // It reports those before the temperature.
        let raw = try InferenceServer(.vLLM, "start.h5", in: folder, .init(reportedTemperature: 1))
        let third = try train([raw], ["--force", "--temperature", "0.5"])
        #expect(third.status == 2 && third.errors.contains("--logprobs-mode processed_logprobs"), "\(third.errors)")
    }

    /// One line names the server and what is wrong with the reply.
    @Test func brokenRepliesAreNamed() throws {
        typealias Change = @Sendable (inout JSON) -> Void
        @Sendable func change(_ reply: JSON, _ body: Change) -> FaultyServer.Response {
            var reply = reply
            body(&reply)
            return .text(reply.serialized())
        }
        func choice(_ body: @escaping @Sendable (inout JSONObject) -> Void) -> Change {
            { reply in
                guard var choice = reply["choices"]?.array?.first?.object else { return }
                body(&choice)
                reply["choices"] = .array([.object(choice)])
            }
        }
        let cases: [(InferenceServer.Kind, Change, String)] = [
            (.vLLM, choice { $0["token_ids"] = nil }, "has no token ids; use a vLLM that knows return_token_ids"),
            (.vLLM, choice { $0["token_ids"] = .array([]) }, "has no token ids"),
            (.vLLM, choice { $0["token_ids"] = .array([.integer(1 << 40)]) }, "the server has another tokenizer"),
            (.vLLM, choice { $0["token_ids"] = .array([-1]) }, "the token -1"),
            (.vLLM, choice { $0["token_ids"] = .array([2.5]) }, "the token 2.5"),
            (.vLLM, choice { $0["logprobs"] = nil }, "and 0 log-probabilities"),
            (.vLLM, choice { $0["logprobs"]?["token_logprobs"] = .array([-1]) }, "tokens and 1 log-probabilities"),
            (
                .vLLM,
                choice {
                    $0["token_ids"] = .array([3])
                    $0["logprobs"] = ["token_logprobs": .array([.null])]
                }, "the log-probability null"
            ),
            (
                .vLLM,
                choice {
                    $0["token_ids"] = .array([3])
                    $0["logprobs"] = ["token_logprobs": .array([0.5])]
                }, "the log-probability 0.5"
            ),
            (
                .vLLM,
                choice {
                    $0["token_ids"] = .array([JSON](repeating: 3, count: 25))
                    $0["logprobs"] = ["token_logprobs": .array([JSON](repeating: -1, count: 25))]
                }, "has 25 tokens, but at most 2"
            ),
            (
                .vLLM,
                choice {
                    $0["token_ids"] = .array([3])
                    $0["logprobs"] = ["token_logprobs": .array([-1])]
                    $0["finish_reason"] = "length"
                }, "tokens, so its context is too small"
            ),
            (.sglang, { $0["meta_info"] = nil }, "has no token ids"),
            (.sglang, { $0["output_ids"] = .array([3]) }, "belong to other tokens"),
            (.sglang, { $0["meta_info"]?["output_token_logprobs"] = .array([[]]) }, "the token null"),
            (.llama, { $0["tokens"] = nil }, "use a llama-server that knows return_tokens"),
            (.llama, { $0["completion_probabilities"] = .array([]) }, "and 0 log-probabilities"),
            (.llama, { $0["completion_probabilities"] = .array([["id": 3, "logprob": -1]]) }, "log-probabilities"),
            (.llama, { $0["generation_settings"]?["temperature"] = 0.8 }, "at temperature 0.8 instead of 1"),
        ]
        for (kind, body, message) in cases {
            let changes = InferenceServer.Changes(reply: { number, reply in number == 3 ? change(reply, body) : nil })
            let server = try InferenceServer(kind, "start.h5", in: folder, changes)
            let result = try train([server], sync(kind) + ["--force"])
            let error = result.errors.split(separator: "\n").last.map(String.init) ?? ""
            #expect(result.status == 2 && error.contains("step 1: \(server.address): "), "\(error)")
            #expect(error.contains(message), "\(message): \(error)")
        }
    }

    @Test func temporaryFailuresAreRetried() throws {
        let changes = InferenceServer.Changes(reply: { number, reply in
            switch number {
            case 1: return .status(503)
            case 2: return .hangUp
            case 3: return .text("no JSON")
            case 4:
                guard var choice = reply["choices"]?.array?.first else { return nil }
                choice["finish_reason"] = "abort"
                return .text(JSON.object(JSONObject([("choices", .array([choice]))])).serialized())
            default: return nil
            }
        })
        let server = try InferenceServer(.vLLM, "start.h5", in: folder, changes)
        let result = try train([server], ["--steps", "1"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(server.requests.count == 16 + 4)
    }

    @Test func serversThatCannotSample() throws {
        let missing = FaultyServer.Response.status(404)
        let cases: [(InferenceServer.Kind, String, FaultyServer.Response, [String], String)] = [
            (.vLLM, "/version", .text("{}"), [], "is none of vLLM, SGLang and llama-server"),
            (
                .vLLM, "/v1/models", .text("{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"), [],
                "name one with --rollout-model"
            ),
            (.vLLM, "/version", .status(401), [], "holds the key with --rollout-key-env"),
            (.vLLM, "/version", .status(500), [], "after 3 attempts"),
            (.vLLM, "/collective_rpc", missing, [], "VLLM_SERVER_DEV_MODE=1, or give --sync-command"),
            (.vLLM, "/collective_rpc", .status(500), [], "vLLM did not load"),
            (.vLLM, "/reset_prefix_cache", .status(500), [], "did not reset its prefix cache"),
            (.vLLM, "/v1/load_lora_adapter", missing, ["--lora", "rows=none"], "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
            (
                .sglang, "/update_weights_from_disk", .text("{\"success\":false,\"message\":\"shape\"}"), [],
                "SGLang did not load"
            ),
            (.sglang, "/update_weights_from_disk", .text("gone"), [], "SGLang did not load"),
            (.llama, "/none", missing, [], "give --sync-command with a command that restarts it"),
            (
                .llama, "/none", missing, ["--sync-command", "echo told; exit 3"],
                "exited with status 3; it ends with \"told\""
            ),
        ]
        for (kind, path, response, options, message) in cases {
            let changes = InferenceServer.Changes(other: { $0 == path ? response : nil })
            let server = try InferenceServer(kind, "start.h5", in: folder, changes)
            let result = try train([server], options)
            let error = result.errors.split(separator: "\n").last.map(String.init) ?? ""
            #expect(result.status == 2 && error.contains(message), "\(message): \(result.errors)")
            // Nothing blocks the next start.
            #expect(!FileManager.default.fileExists(atPath: folder.path("run/step-000000.h5")))
        }
    }

    @Test(arguments: [
        (["--sync-command", "true"], "name them with --rollout-server"),
        (["--sampler-cap", "3"], "are about --rollout-server"),
        (["--async-steps", "1"], "are about --rollout-server"),
        (["--rollout-server", "http://h", "--async-steps", "2"], "--async-steps must be 0 or 1"),
        (["--rollout-server", "http://h", "--async-steps", "1", "--refill", "1"], "give one of them"),
        (["--rollout-server", "ftp://h"], "ftp://h is not a server address"),
        (["--rollout-server", "http://h", "--dry-run"], "--dry-run measures what sampling here takes"),
        (["--rollout-server", "http://h", "--rollout-server", "http://h/v1/"], "names a server twice"),
        (["--rollout-server", "http://h", "--rollout-concurrency", "0"], "--rollout-concurrency must be"),
        (["--rollout-server", "http://h", "--rollout-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--rollout-server", "http://h", "--sampler-tolerance", "0"], "--sampler-tolerance must be above 0"),
    ])
    func mistakesAreNamed(options: [String], message: String) throws {
        let result = try train([], options)
        #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
    }
}
