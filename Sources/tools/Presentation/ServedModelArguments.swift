import ArgumentParser
import Foundation
import OrderedJSON
import TrainLoop

/// Models behind a server that are judged like checkpoints.
struct ServedModelArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Judge a model behind this server, http://HOST:PORT/v1, alone or beside checkpoints.", valueName: "url"))
    var server: String?

    @Option(help: "Name of a model on the server. Default: its only model. Repeatable.")
    var model: [String] = []

    @Option(help: ArgumentHelp("Environment variable with the key of the server.", valueName: "name"))
    var keyEnv: String?

    @Option(help: ArgumentHelp("Additional members of the requests; null leaves one out.", valueName: "json"))
    var extra: String?

    @Option(help: "Number of requests in progress at once.")
    var concurrency = 16

    @OptionGroup var requests: RequestArguments

    static let flags = ServerFlags(key: "--key-env", model: "--model", extra: "--extra")

    func validate() throws {
        guard (1...4096).contains(concurrency) else {
            throw ValidationError("--concurrency must be between 1 and 4096")
        }
        guard Set(model).count == model.count else { throw ValidationError("--model names a model twice") }
    }

    /// Checks the address, the key and the members, and refuses flags that need a server.
    ///
    /// - Throws: `ValidationError` or `OptionError`.
    func check() throws {
        guard let server else {
            for (name, isGiven) in [("model", !model.isEmpty), ("key-env", keyEnv != nil), ("extra", extra != nil)]
            where isGiven {
                throw ValidationError("--\(name) is for a model behind a server; name the server with --server")
            }
            return
        }
        _ = try ServerAddress(server, flags: Self.flags)
        _ = try members()
    }

    func members() throws -> JSONObject { try ServerFlagValue.members(extra, flag: "--extra") }

    /// The models, none without a server; asks the server for its only model if none is named.
    ///
    /// - Throws: `ServerError`, `OptionError`, `ValidationError`, `HTTPError`, or `StoppedBySignal`.
    func models(_ interruption: Interruption? = nil) throws -> [ServedModel] {
        guard let server else { return [] }
        let address = try ServerAddress(
            server, key: try ServerFlagValue.key(in: keyEnv, flag: "--key-env"), flags: Self.flags)
        let names: [String?] = model.isEmpty ? [nil] : model
        let (retry, limits, settings) = (requests.retry, requests.limits, requests.settings)
        return try names.map { name in
            let server: ChatServer
            do {
                server = try ConcurrentRequests.wait(isStopping: { interruption?.isRequested ?? false }) {
                    try await ChatServer(
                        address, model: name, flags: Self.flags, retry: retry, limits: limits, settings: settings)
                }
            } catch is CancellationError { throw StoppedBySignal(signal: interruption?.signal ?? SIGINT) }
            return ServedModel(server, extra: try members(), concurrency: concurrency)
        }
    }
}
