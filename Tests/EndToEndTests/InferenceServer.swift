import CheckpointIO
import Foundation
import OrderedJSON
import Synchronization
import TestSupport
import Transformer

/// A server on loopback that samples from a model and loads new weights, with the protocol of one of three programs.
///
/// It really samples, so that a client which compares log-probabilities finds them right, unless a test changes what it
/// does.
final class InferenceServer: @unchecked Sendable {
    enum Kind: String, CaseIterable { case vLLM, sglang, llama }

    /// What a test changes; every closure may be called from any thread.
    struct Changes: Sendable {
        /// Weights are said to be loaded, and are not.
        var ignoresWeights = false
        /// The temperature is multiplied by this.
        var temperatureFactor = 1.0
        /// Log-probabilities are those of this temperature; nil: of the one that sampled.
        var reportedTemperature: Double?
        /// Takes the place of the reply to the n-th request for a response, counted from 0; nil: none.
        var reply: @Sendable (_ number: Int, _ reply: JSON) -> FaultyServer.Response? = { _, _ in nil }
        /// Takes the place of the reply to any other path; nil: none.
        var other: @Sendable (_ path: String) -> FaultyServer.Response? = { _ in nil }
    }

    private struct State {
        var model: Model
        var path: String
        var loads: [String] = []
        /// For each request for a response, how many weights had been loaded before.
        var loadsBefore: [Int] = []
        var requests: [JSON] = []
        var responses = 0
    }

    private let kind: Kind
    private let changes: Changes
    private let lock = NSLock()
    private var state: State
    private let folder: TemporaryFolder
    /// The model's end token, which llama-server knows from its file.
    private let endToken: Int
    private var server: FaultyServer?

    /// Starts the server with the weights of a checkpoint in `folder`.
    ///
    /// A server of the kind llama reads the file `weights` in `folder` before every response, which names its model.
    init(_ kind: Kind, _ checkpoint: String, in folder: TemporaryFolder, _ changes: Changes = Changes()) throws {
        (self.kind, self.changes, self.folder) = (kind, changes, folder)
        let path = folder.path(checkpoint)
        state = State(model: try Self.model(path), path: path)
        endToken = try JSON.parse(CheckpointFile(path: path).metadata.config)["eos_token_id"]?.int ?? -1
        let weak = Weak(self)
        server = try FaultyServer(routes: { path, request in weak.value?.respond(to: path, request) ?? .hangUp })
    }

    private final class Weak: @unchecked Sendable {
        weak var value: InferenceServer?

        init(_ value: InferenceServer) { self.value = value }
    }

    var address: String { "http://127.0.0.1:\(server?.port ?? 0)" }
    /// The paths of the weights that were loaded.
    var loads: [String] { lock.withLock { state.loads } }
    /// The number of requests for responses by how many weights had been loaded before.
    var requestsByLoads: [Int: Int] {
        lock.withLock { state.loadsBefore.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
    }
    /// The requests for responses.
    var requests: [JSON] { lock.withLock { state.requests } }

    private static func model(_ path: String) throws -> Model { Model(try ModelParameters(CheckpointFile(path: path))) }

    private func respond(to path: String, _ request: JSON) -> FaultyServer.Response {
        if let response = changes.other(path) { return response }
        let missing = FaultyServer.Response.status(404, body: "{\"detail\":\"Not Found\"}")
        switch (path, kind) {
        case ("/health", _): return .text("")
        case ("/get_model_info", .sglang): return .text("{\"model_path\":\"m\",\"is_generation\":true}")
        case ("/props", .llama): return .text("{\"default_generation_settings\":{},\"total_slots\":4}")
        case ("/version", .vLLM): return .text("{\"version\":\"0.99\"}")
        case ("/v1/models", .vLLM): return .text("{\"data\":[{\"id\":\"base\",\"parent\":null}]}")
        case ("/reset_prefix_cache", .vLLM): return .text("")
        case ("/update_weights_from_disk", .sglang):
            return load(request["model_path"]?.string) { .text("{\"success\":\($0),\"message\":\"told to\"}") }
        case ("/collective_rpc", .vLLM):
            guard request["method"]?.string == "reload_weights" else { return missing }
            return load(request["kwargs"]?["weights_path"]?.string) {
                $0 ? .text("{\"results\":[null]}") : .status(500)
            }
        case ("/v1/load_lora_adapter", .vLLM):
            guard request["load_inplace"]?.bool == true, let path = request["lora_path"]?.string else { return missing }
            return load(path, adapter: true) { $0 ? .text("Success") : .status(400) }
        case ("/v1/completions", .vLLM), ("/generate", .sglang), ("/completion", .llama): return sample(request)
        default: return missing
        }
    }

    private func load(
        _ path: String?, adapter: Bool = false, _ response: (_ isLoaded: Bool) -> FaultyServer.Response
    ) -> FaultyServer.Response {
        guard let path else { return response(false) }
        return lock.withLock {
            state.loads.append(path)
            guard !changes.ignoresWeights else { return response(true) }
            // An adapter is merged into the weights that the server has been started with.
            let imported = "imported-\(UUID().uuidString).h5"
            let source = adapter ? [folder.path("start.h5"), "--adapter", path] : [path]
            let made = try? Command.run(Command.ckptPath, ["import"] + source + ["-o", imported], in: folder)
            guard made?.status == 0, let model = try? Self.model(folder.path(imported)) else { return response(false) }
            (state.model, state.path) = (model, path)
            return response(true)
        }
    }

    private func sample(_ request: JSON) -> FaultyServer.Response {
        lock.lock()
        defer { lock.unlock() }
        state.requests.append(request)
        state.loadsBefore.append(state.loads.count)
        if kind == .llama, let path = try? String(contentsOfFile: folder.path("weights"), encoding: .utf8),
            path != state.path, !changes.ignoresWeights, let model = try? Self.model(path)
        {
            (state.model, state.path) = (model, path)
            state.loads.append(path)
        }
        let number = state.responses
        state.responses += 1
        let inner = request["sampling_params"] ?? request
        let prompt = (request["prompt"] ?? request["input_ids"])?.array?.compactMap(\.int) ?? []
        let count = (inner["max_tokens"] ?? inner["max_new_tokens"] ?? inner["n_predict"])?.int ?? 0
        let wanted = inner["temperature"]?.double ?? 0
        let temperature = wanted * changes.temperatureFactor
        let stops = Set(inner["stop_token_ids"]?.array?.compactMap(\.int) ?? [endToken])
        let seed = UInt64(inner["seed"]?.int ?? number)
        let options = SamplingOptions(
            temperature: Float(temperature), maximumNewTokens: count, stopTokens: stops, seed: seed)
        let completion = Generator(state.model).generate([GenerationRequest(prompt: prompt)], options)[0][0]
        let batch = PackedBatch([prompt + completion.tokens])
        let positions = completion.tokens.enumerated().map {
            ScoredPosition(position: prompt.count + $0 - 1, target: $1)
        }
        let scores = state.model.score(
            batch, positions, temperature: Float(changes.reportedTemperature ?? temperature)
        ).logProbabilities
        let reply = reply(completion.tokens, scores, isOver: completion.finish == .stop, request)
        return changes.reply(number, reply) ?? .text(reply.serialized())
    }

    private func reply(_ tokens: [Int], _ scores: [Float], isOver: Bool, _ request: JSON) -> JSON {
        let ids = JSON.array(tokens.map { .integer($0) })
        let values = scores.map { JSON.double(Double($0)) }
        switch kind {
        case .vLLM:
            return [
                "choices": .array([
                    [
                        "index": 0, "text": "", "token_ids": ids, "finish_reason": isOver ? "stop" : "length",
                        "logprobs": ["token_logprobs": .array(values)],
                    ]
                ])
            ]
        case .sglang:
            let entries = zip(tokens, values).map { JSON.array([$1, .integer($0), .null]) }
            return [
                "text": "", "output_ids": ids,
                "meta_info": [
                    "finish_reason": ["type": isOver ? "stop" : "length"], "output_token_logprobs": .array(entries),
                ],
            ]
        case .llama:
            let isAfter = request["post_sampling_probs"]?.bool == true
            // A token that ends within a character has no entry.
            let entries = zip(tokens, scores).enumerated().filter { $0.offset % 5 != 4 }.map { _, pair -> JSON in
                isAfter
                    ? ["id": .integer(pair.0), "prob": .double(Double(exp(pair.1)))]
                    : ["id": .integer(pair.0), "logprob": .double(Double(pair.1))]
            }
            return [
                "content": "", "tokens": ids, "stop_type": isOver ? "eos" : "limit",
                "completion_probabilities": .array(entries),
                "generation_settings": ["temperature": request["temperature"] ?? .null],
            ]
        }
    }
}
