import ArgumentParser
import TrainLoop

/// How far servers may differ from the model; options of a run.
struct RLSamplerArguments: OptionArguments {
    @Option(
        help: """
            Largest weight of a token in the loss, its probability here over that on the server. Default: \
            \(standard.cap).
            """)
    var samplerCap: Double?

    @Option(help: "Largest such weight of a control token. Default: \(standard.controlCap).")
    var samplerControlCap: Double?

    @Option(
        help: """
            Stop if a server's log-probabilities differ from ours by more than this on average. Default: \
            \(standard.tolerance), and from the second step on four times the difference of the first.
            """)
    var samplerTolerance: Double?

    @Option(
        help: """
            1: the servers sample the next step's answers during an update, from the weights before it. Default: 0.
            """)
    var asyncSteps: Int?

    var isGiven: Bool { [samplerCap, samplerControlCap, samplerTolerance].contains { $0 != nil } || asyncSteps != nil }
}

private let standard = RLOptions().sampler

/// The servers that sample; a resumed run needs them again.
struct RLServerArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Sample on this vLLM, SGLang or llama-server, http://HOST:PORT, instead of here. Repeatable.",
            valueName: "url"))
    var rolloutServer: [String] = []

    @Option(help: ArgumentHelp("Name of the model on vLLM servers. Default: the only one.", valueName: "name"))
    var rolloutModel: String?

    @Option(help: ArgumentHelp("Environment variable with the key of the servers.", valueName: "name"))
    var rolloutKeyEnv: String?

    @Option(help: "Answers that a server samples at once.")
    var rolloutConcurrency = 32

    @Option(
        help: ArgumentHelp(
            "Command that brings new weights, $CKPT_WEIGHTS, to the servers before every step, instead of what SGLang "
                + "and vLLM have for that.", valueName: "command"))
    var syncCommand: String?

    @OptionGroup var requests: RequestArguments

    private static let flags = ServerFlags(key: "--rollout-key-env", model: "--rollout-model", extra: "")

    func validate() throws {
        guard (1...4096).contains(rolloutConcurrency) else {
            throw ValidationError("--rollout-concurrency must be between 1 and 4096")
        }
        guard rolloutServer.isEmpty else { return }
        for (name, value) in [
            ("rollout-model", rolloutModel), ("rollout-key-env", rolloutKeyEnv), ("sync-command", syncCommand),
        ] where value != nil {
            throw ValidationError("--\(name) is for servers that sample; name them with --rollout-server")
        }
    }

    /// The servers; nil if answers are sampled here.
    ///
    /// - Throws: `OptionError` or `ValidationError`.
    func servers() throws -> RolloutServers? {
        guard !rolloutServer.isEmpty else { return nil }
        let key = try ServerFlagValue.key(in: rolloutKeyEnv, flag: "--rollout-key-env")
        let addresses = try rolloutServer.map { text in
            var root = text
            while root.hasSuffix("/") { root.removeLast() }
            if root.hasSuffix("/v1") { root.removeLast("/v1".count) }
            return try ServerAddress(root, key: key, flags: Self.flags)
        }
        guard Set(addresses.map(\.base)).count == addresses.count else {
            throw ValidationError("--rollout-server names a server twice")
        }
        return RolloutServers(
            addresses, model: rolloutModel, concurrency: rolloutConcurrency, syncCommand: syncCommand,
            retry: requests.retry, limits: requests.limits, settings: requests.settings, flags: Self.flags)
    }

    /// The flags that a resumed run needs again.
    var repeated: [(flag: String, path: String?)] {
        func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
        return rolloutServer.map { ("--rollout-server", $0) } + [
            ("--rollout-model", rolloutModel.map(quoted)), ("--rollout-key-env", rolloutKeyEnv),
            ("--sync-command", syncCommand.map(quoted)),
        ]
    }
}
