import OrderedJSON
import Synchronization

/// One response to be sampled by a server.
package struct TokenRequest: Sendable {
    package var prompt: [Int]
    package var maximumTokens: Int
    package var temperature: Double
    /// Tokens that end the response.
    package var stopTokens: Set<Int>
    /// 31 bits.
    package var seed: Int
    /// Token ids lie below this.
    package var vocabularySize: Int

    package init(
        prompt: [Int], maximumTokens: Int, temperature: Double, stopTokens: Set<Int>, seed: Int, vocabularySize: Int
    ) {
        self.prompt = prompt
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.stopTokens = stopTokens
        self.seed = seed
        self.vocabularySize = vocabularySize
    }
}

/// A response that a server sampled.
package struct TokenSample: Sendable, Equatable {
    package var tokens: [Int]
    /// The server's log-probabilities at the sampling temperature, `[tokens]`; not a number where it gives none.
    package var logProbabilities: [Float]

    package init(tokens: [Int], logProbabilities: [Float]) {
        self.tokens = tokens
        self.logProbabilities = logProbabilities
    }
}

/// A server that samples token ids from token ids, and loads new weights from files: vLLM, SGLang or llama-server.
package final class RolloutServer: Sendable {
    package enum Kind: String, Sendable {
        case vLLM
        case sglang = "SGLang"
        case llama = "llama-server"
    }

    package let kind: Kind
    /// The model's name in requests to vLLM; others have only one.
    package let model: String?
    private let connection: ServerConnection
    /// The name of the adapter that was loaded last; requests name it instead of the model.
    private let adapter = Mutex<String?>(nil)

    package var address: ServerAddress { connection.address }

    /// Asks a server what it is.
    ///
    /// - Parameters:
    ///   - connection: to the root of the server, without `/v1`.
    ///   - model: the name of vLLM's model; nil: its only one.
    ///   - modelFlag: the flag that names a model, for messages.
    /// - Throws: `ServerError`, also if the server is none of the three.
    package init(_ connection: ServerConnection, model: String?, modelFlag: String) async throws {
        self.connection = connection
        let base = connection.address.base
        for path in ["get_model_info", "model_info"] {
            let reply = try await connection.reply(path)
            if reply.status == 200, reply.json["model_path"] != nil {
                (kind, self.model) = (.sglang, nil)
                return
            }
        }
        if try await connection.reply("props").json["default_generation_settings"] != nil {
            (kind, self.model) = (.llama, nil)
            return
        }
        guard try await connection.reply("version").json["version"]?.string != nil else {
            throw ServerError.useless(
                "\(base): the server is none of vLLM, SGLang and llama-server, which sample token ids; give the address "
                    + "of one, without /v1")
        }
        kind = .vLLM
        if let model {
            self.model = model
            return
        }
        let models = try await connection.reply("v1/models").json["data"]?.array ?? []
        let names = models.filter { $0["parent"]?.string == nil }.compactMap { $0["id"]?.string }
        guard names.count == 1 else {
            throw ServerError.useless(
                "\(base): the server has \(counted(names.count, "model")); name one with \(modelFlag)")
        }
        self.model = names[0]
    }

    // MARK: - Sampling

    /// Samples one response.
    ///
    /// - Throws: `ServerError`, also for a reply that cannot be a sample of the request; `CancellationError`.
    package func sample(_ request: TokenRequest) async throws -> TokenSample {
        let reader = RolloutReply(kind: kind, request: request)
        let model = adapter.withLock { $0 } ?? model
        var attempts = 0
        while true {
            let reply = try await connection.reply(reader.path, body: reader.body(model: model))
            guard reply.status == 200 else { throw ServerError.useless("\(address.base): \(reply.message)") }
            do { return try reader.sample(in: reply.json) } catch RolloutReplyError.aborted where attempts < 3 {
                attempts += 1
                try await Task.sleep(for: .seconds(1))
            } catch let error as RolloutReplyError { throw ServerError.useless("\(address.base): \(error)") }
        }
    }

    // MARK: - Weights

    /// Loads the weights of a Hugging Face folder, which the server must see under this path.
    ///
    /// - Throws: `ServerError` naming the remedy if the server refuses or cannot load weights; `CancellationError`.
    package func loadWeights(from folder: String, version: Int) async throws {
        switch kind {
        case .sglang:
            let reply = try await post(
                "update_weights_from_disk",
                [
                    "model_path": .string(folder), "load_format": .null, "flush_cache": true,
                    "abort_all_requests": false, "weight_version": .string(String(version)),
                ])
            guard reply.status == 200, reply.json["success"]?.bool == true else {
                let message = reply.json["message"]?.string.map { address.quoted($0) } ?? reply.message
                throw ServerError.useless("\(address.base): SGLang did not load \(folder): \(message)")
            }
        case .vLLM:
            let reply = try await post(
                "collective_rpc",
                [
                    "method": "reload_weights",
                    "kwargs": ["weights_path": .string(folder), "is_checkpoint_format": true],
                ])
            guard reply.status != 404 else {
                throw ServerError.useless(
                    "\(address.base): vLLM has no /collective_rpc, by which it loads weights; start it with the "
                        + "environment variable VLLM_SERVER_DEV_MODE=1, or give --sync-command")
            }
            guard reply.status == 200 else {
                throw ServerError.useless("\(address.base): vLLM did not load \(folder): \(reply.message)")
            }
            try await resetPrefixCache(isRequired: true)
        case .llama: throw Self.cannotLoad(address)
        }
    }

    /// The error of a server that cannot load weights while it runs.
    static func cannotLoad(_ address: ServerAddress) -> ServerError {
        .useless(
            "\(address.base): llama-server cannot load other weights while it runs; give --sync-command with a command "
                + "that restarts it with the model in $CKPT_WEIGHTS")
    }

    /// Loads a LoRA adapter from a folder in PEFT's format in place of the last one, and samples with it from now on.
    ///
    /// - Throws: `ServerError` naming the remedy if the server refuses; `CancellationError`.
    package func loadAdapter(from folder: String, named name: String) async throws {
        let reply = try await post(
            "v1/load_lora_adapter",
            ["lora_name": .string(name), "lora_path": .string(folder), "load_inplace": true])
        guard reply.status != 404 else {
            throw ServerError.useless(
                "\(address.base): vLLM has no /v1/load_lora_adapter; start it with --enable-lora and the environment "
                    + "variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or give --sync-command")
        }
        guard reply.status == 200 else {
            throw ServerError.useless("\(address.base): vLLM did not load the adapter \(folder): \(reply.message)")
        }
        adapter.withLock { $0 = name }
        // Keys and values of prompts are of the adapter before. Only servers in development mode can forget them.
        try await resetPrefixCache(isRequired: false)
    }

    private func resetPrefixCache(isRequired: Bool) async throws {
        let reply = try await post("reset_prefix_cache", [:])
        guard reply.status == 200 || !isRequired else {
            throw ServerError.useless("\(address.base): vLLM did not reset its prefix cache: \(reply.message)")
        }
    }

    private func post(_ path: String, _ body: JSON) async throws -> ServerConnection.Reply {
        try await connection.reply(path, body: body, retriesErrors: false, acceptsText: true)
    }
}
