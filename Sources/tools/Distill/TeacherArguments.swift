import ArgumentParser
import CheckpointIO
import Foundation
import HTTP
import OrderedJSON
import TrainLoop
import Transformer

/// The options of one teacher.
struct TeacherRequest {
    /// The prefix of the flags.
    var mode: Mode
    var teacher: String
    /// The sampling, with the token limit of servers unless another one is given.
    var sampling: TeacherSampling
    /// The given token limit.
    var maximumTokens: Int?
    var model: String?
    var keyVariable: String?
    var extra: String?

    /// Any address counts, so that one of another kind is not shown as the name of a file.
    var isServer: Bool { teacher.contains("://") }

    /// - Throws: `ValidationError` or `OptionError` for invalid flags, or flags that do not apply to this kind of
    ///   teacher.
    func check() throws {
        try sampling.check(flagPrefix: mode.rawValue)
        guard isServer else {
            for (name, value) in [("model", model), ("key-env", keyVariable), ("extra", extra)] where value != nil {
                throw ValidationError(
                    "--\(mode.rawValue)-\(name) is for servers only, but \(teacher) is a file; servers start with http")
            }
            return
        }
        _ = try address()
        _ = try extraMembers()
    }

    static let flags = ServerFlags(
        key: "--think-key-env or --short-key-env", model: "--think-model or --short-model",
        extra: "--think-extra or --short-extra")

    func address() throws -> ServerAddress { try ServerAddress(teacher, key: try key(), flags: Self.flags) }

    private func key() throws -> String? {
        try ServerFlagValue.key(in: keyVariable, flag: "--\(mode.rawValue)-key-env")
    }

    func extraMembers() throws -> JSONObject {
        try ServerFlagValue.members(extra, flag: "--\(mode.rawValue)-extra")
    }
}

/// The teacher of long answers.
struct ThinkTeacherArguments: ParsableArguments {
    @Option(help: "Teacher of long answers: http://HOST:PORT/v1, a checkpoint, or a file of recorded answers.")
    var thinkTeacher: String

    @Option(help: "Name of the model on the server. Default: its only model.")
    var thinkModel: String?

    @Option(help: ArgumentHelp("Environment variable with the key of the server.", valueName: "name"))
    var thinkKeyEnv: String?

    @Option(help: "The user's message, with {problem} as placeholder.")
    var thinkPrompt = "{problem}"

    @Option(help: "Sampling temperature.")
    var thinkTemperature = 0.6

    @Option(help: "Sample from the smallest set of tokens with this total probability.")
    var thinkTopP = 0.95

    @Option(
        help: ArgumentHelp(
            "Maximum length of an answer in tokens. Default: 8192 for a server; for a checkpoint 2048, and at most "
                + "half its positions.",
            valueName: "tokens"))
    var thinkMaxTokens: Int?

    @Option(
        help: ArgumentHelp("Additional members of the requests to a server; null leaves one out.", valueName: "json"))
    var thinkExtra: String?

    func request(seed: UInt64) -> TeacherRequest {
        var sampling = TeacherSampling(maximumTokens: thinkMaxTokens ?? 8192)
        (sampling.temperature, sampling.topP, sampling.prompt) = (thinkTemperature, thinkTopP, thinkPrompt)
        sampling.seed = seed
        return TeacherRequest(
            mode: .think, teacher: thinkTeacher, sampling: sampling, maximumTokens: thinkMaxTokens, model: thinkModel,
            keyVariable: thinkKeyEnv, extra: thinkExtra)
    }
}

/// The teacher of short answers.
struct ShortTeacherArguments: ParsableArguments {
    @Option(help: "Teacher of short answers. Default: none; the text after </think> is the short answer.")
    var shortTeacher: String?

    @Option(help: "Name of the model on the server. Default: its only model.")
    var shortModel: String?

    @Option(help: ArgumentHelp("Environment variable with the key of the server.", valueName: "name"))
    var shortKeyEnv: String?

    @Option(help: "The user's message, with {problem} as placeholder.")
    var shortPrompt = "{problem}"

    @Option(help: "Sampling temperature.")
    var shortTemperature = 0.6

    @Option(help: "Sample from the smallest set of tokens with this total probability.")
    var shortTopP = 0.95

    @Option(
        help: ArgumentHelp(
            "Maximum length of an answer in tokens. Default: 2048 for a server; for a checkpoint 512, and at most "
                + "a quarter of its positions.",
            valueName: "tokens"))
    var shortMaxTokens: Int?

    @Option(
        help: ArgumentHelp("Additional members of the requests to a server; null leaves one out.", valueName: "json"))
    var shortExtra: String?

    func request(seed: UInt64) -> TeacherRequest? {
        guard let shortTeacher else { return nil }
        var sampling = TeacherSampling(maximumTokens: shortMaxTokens ?? 2048)
        (sampling.temperature, sampling.topP, sampling.prompt) = (shortTemperature, shortTopP, shortPrompt)
        sampling.seed = seed
        return TeacherRequest(
            mode: .short, teacher: shortTeacher, sampling: sampling, maximumTokens: shortMaxTokens, model: shortModel,
            keyVariable: shortKeyEnv, extra: shortExtra)
    }
}

/// Opens teachers; two teachers with the same checkpoint share its weights.
struct TeacherOpening {
    let retry: RetryPolicy
    let limits: HTTPLimits
    let settings: HTTPClient.Settings
    /// Other names of fields in files of recorded answers.
    var map: FieldMap?
    /// Makes the generator of a checkpoint as teacher.
    var generator: (Model) -> Generator = { Generator($0) }
    /// Whether the answers of a checkpoint may exceed its positions.
    var allowsLong = false
    /// The ranks that sample the answers of checkpoints.
    var shared = SharedSampling(.alone)
    private var parameters: [String: ModelParameters] = [:]

    init(retry: RetryPolicy, limits: HTTPLimits, settings: HTTPClient.Settings) {
        (self.retry, self.limits, self.settings) = (retry, limits, settings)
    }

    /// Opens a teacher; on other ranks than 0, which only sample, nothing else than a checkpoint.
    mutating func open(_ request: TeacherRequest) async throws -> (any Teacher)? {
        if request.isServer {
            guard shared.ranks.isRoot else { return nil }
            let server = try await ChatServer(
                try request.address(), model: request.model, flags: TeacherRequest.flags, retry: retry, limits: limits,
                settings: settings)
            return ServerTeacher(server, sampling: request.sampling, extra: try request.extraMembers())
        }
        let start = try FileHandle(forReadingAtPath: request.teacher)?.read(upToCount: 8)
        guard start?.starts(with: Data([0x89, 0x48, 0x44, 0x46])) == true else {
            return !shared.ranks.isRoot
                ? nil : try RecordedTeacher(path: request.teacher, mode: request.mode, map: map)
        }
        let file = try CheckpointFile(path: request.teacher)
        let weights = try parameters[file.digest] ?? ModelParameters(file)
        parameters[file.digest] = weights
        return try FileError.naming(request.teacher) {
            let positions = try PromptReader(file.metadata).positions
            var sampling = request.sampling
            let flag = "--\(request.mode.rawValue)-max-tokens"
            if let limit = request.maximumTokens {
                guard limit < positions || allowsLong else {
                    throw ValidationError(
                        "\(flag) must be under the model's \(positions) positions (max_position_embeddings); give "
                            + "less, \(LengthError.otherRemedies)")
                }
            } else {
                sampling.maximumTokens = LocalTeacher.defaultLimit(request.mode, positions: positions)
                Terminal.writeError(
                    "\(request.mode.rawValue) teacher \(request.teacher): answers of at most "
                        + "\(Format.counted(sampling.maximumTokens, "token")), as the model has "
                        + "\(Format.grouped(positions)) positions; \(flag) sets another limit")
            }
            return try LocalTeacher(
                file, generator: generator(Model(weights)), mode: request.mode, sampling: sampling,
                allowsLong: allowsLong, shared: shared)
        }
    }
}
