import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop
import Transformer

/// How one teacher is found and asked, whatever its flags are called.
struct TeacherRequest {
    /// "think" or "short": the start of the flags' names.
    var mode: Mode
    var teacher: String
    var sampling: TeacherSampling
    var model: String?
    var keyVariable: String?
    var extra: String?

    var isServer: Bool { teacher.hasPrefix("http://") || teacher.hasPrefix("https://") }

    /// - Throws: where flags make no sense for this kind of teacher.
    func check() throws {
        try sampling.check(flagPrefix: mode.rawValue)
        guard isServer else {
            for (name, value) in [("model", model), ("key-env", keyVariable), ("extra", extra)] where value != nil {
                throw ValidationError(
                    "--\(mode.rawValue)-\(name) is for a server; \(teacher) is a file (a server begins with http)")
            }
            return
        }
        _ = try key()
        _ = try extraMembers()
    }

    func key() throws -> String? {
        guard let keyVariable else { return nil }
        guard let key = ProcessInfo.processInfo.environment[keyVariable], !key.isEmpty else {
            throw ValidationError(
                "--\(mode.rawValue)-key-env: the environment variable \(keyVariable) is not set; it must hold the key")
        }
        return key
    }

    func extraMembers() throws -> JSONObject {
        guard let extra else { return JSONObject() }
        guard let members = (try? JSON.parse(extra))?.object else {
            throw ValidationError("--\(mode.rawValue)-extra must be a JSON object, like {\"top_k\": 20}")
        }
        return members
    }
}

/// The teacher of long answers.
struct ThinkTeacherArguments: ParsableArguments {
    @Option(help: "Who gives the long answers: http://HOST:PORT/v1, a checkpoint, or a file of recorded answers.")
    var thinkTeacher: String

    @Option(help: "Its model's name on the server. Default: the only one it has.")
    var thinkModel: String?

    @Option(help: ArgumentHelp("The environment variable that holds the server's key.", valueName: "name"))
    var thinkKeyEnv: String?

    @Option(help: "The user's message; {problem} stands for the problem.")
    var thinkPrompt = "{problem}"

    @Option(help: "Sampling temperature.")
    var thinkTemperature = 0.6

    @Option(help: "Sample from the likeliest tokens that hold this much probability.")
    var thinkTopP = 0.95

    @Option(help: "Tokens of an answer at most.")
    var thinkMaxTokens = 8192

    @Option(help: ArgumentHelp("Further members of the request to a server.", valueName: "json"))
    var thinkExtra: String?

    func request(seed: UInt64) -> TeacherRequest {
        var sampling = TeacherSampling(maximumTokens: thinkMaxTokens)
        (sampling.temperature, sampling.topP, sampling.prompt) = (thinkTemperature, thinkTopP, thinkPrompt)
        sampling.seed = seed
        return TeacherRequest(
            mode: .think, teacher: thinkTeacher, sampling: sampling, model: thinkModel, keyVariable: thinkKeyEnv,
            extra: thinkExtra)
    }
}

/// The teacher of short answers.
struct ShortTeacherArguments: ParsableArguments {
    @Option(help: "Who gives the short answers. Default: none; they are what follows </think>.")
    var shortTeacher: String?

    @Option(help: "Its model's name on the server. Default: the only one it has.")
    var shortModel: String?

    @Option(help: ArgumentHelp("The environment variable that holds the server's key.", valueName: "name"))
    var shortKeyEnv: String?

    @Option(help: "The user's message; {problem} stands for the problem.")
    var shortPrompt = "{problem}"

    @Option(help: "Sampling temperature.")
    var shortTemperature = 0.6

    @Option(help: "Sample from the likeliest tokens that hold this much probability.")
    var shortTopP = 0.95

    @Option(help: "Tokens of an answer at most.")
    var shortMaxTokens = 2048

    @Option(help: ArgumentHelp("Further members of the request to a server.", valueName: "json"))
    var shortExtra: String?

    func request(seed: UInt64) -> TeacherRequest? {
        guard let shortTeacher else { return nil }
        var sampling = TeacherSampling(maximumTokens: shortMaxTokens)
        (sampling.temperature, sampling.topP, sampling.prompt) = (shortTemperature, shortTopP, shortPrompt)
        sampling.seed = seed
        return TeacherRequest(
            mode: .short, teacher: shortTeacher, sampling: sampling, model: shortModel, keyVariable: shortKeyEnv,
            extra: shortExtra)
    }
}

/// Opens teachers; two that are the same checkpoint share its weights.
struct TeacherOpening {
    var retry: RetryPolicy
    var timeout: Double
    var connections: Int
    private var parameters: [String: ModelParameters] = [:]

    init(retry: RetryPolicy, timeout: Double, connections: Int) {
        self.retry = retry
        self.timeout = timeout
        self.connections = connections
    }

    mutating func open(_ request: TeacherRequest) async throws -> any Teacher {
        if request.isServer {
            return try await ServerTeacher(
                try ServerTeacher.Address(request.teacher, key: try request.key()), model: request.model,
                sampling: request.sampling, extra: try request.extraMembers(), retry: retry, timeout: timeout,
                connections: connections)
        }
        let start = try FileHandle(forReadingAtPath: request.teacher)?.read(upToCount: 8)
        guard start?.starts(with: Data([0x89, 0x48, 0x44, 0x46])) == true else {
            return try RecordedTeacher(path: request.teacher, mode: request.mode)
        }
        let file = try CheckpointFile(path: request.teacher)
        let weights = try parameters[file.digest] ?? ModelParameters(file)
        parameters[file.digest] = weights
        return try FileError.naming(request.teacher) {
            try LocalTeacher(file, parameters: weights, mode: request.mode, sampling: request.sampling)
        }
    }
}
