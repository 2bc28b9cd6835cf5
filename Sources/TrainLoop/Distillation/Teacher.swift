import OrderedJSON

/// A source of answers in one mode.
package protocol Teacher: Sendable {
    /// The identity and the sampling of the teacher; a run is resumed only with equal settings.
    var settings: JSON { get }
    /// nil if the teacher writes nothing anew.
    var progress: TeacherProgress? { get }

    /// Answers one problem; may be called concurrently.
    ///
    /// - Parameters:
    ///   - problem: the problem.
    ///   - index: its index in the file, which selects the random numbers of a sampled answer.
    /// - Returns: an answer or a refusal.
    /// - Throws: `TeacherError`.
    func answer(_ problem: Problem, at index: Int) async throws -> ModelReply
}

extension Teacher {
    package var progress: TeacherProgress? { nil }
}

/// How a teacher samples, and its prompt template.
package struct TeacherSampling: Sendable, Equatable {
    package var temperature = 0.6
    package var topP = 0.95
    package var maximumTokens: Int
    package var seed: UInt64 = 0
    /// The user's message, with `{problem}` as placeholder.
    package var prompt = "{problem}"

    package init(maximumTokens: Int) { self.maximumTokens = maximumTokens }

    func message(for problem: Problem) -> String { prompt.replacing("{problem}", with: problem.problem) }

    var json: [(String, JSON)] {
        [
            ("temperature", .double(temperature)), ("top_p", .double(topP)), ("max_tokens", .integer(maximumTokens)),
            ("seed", .string(String(seed))), ("prompt", .string(prompt)),
        ]
    }

    /// - Throws: `OptionError` with the name of the flag.
    package func check(flagPrefix: String) throws {
        let require = OptionError.require
        try require(temperature >= 0 && temperature <= 10, "--\(flagPrefix)-temperature must be between 0 and 10")
        try require(topP > 0 && topP <= 1, "--\(flagPrefix)-top-p must be above 0 and at most 1")
        try require((1...1 << 20).contains(maximumTokens), "--\(flagPrefix)-max-tokens must be between 1 and 1048576")
        try require(
            prompt.contains("{problem}"),
            "--\(flagPrefix)-prompt must contain {problem}, the placeholder for the problem")
    }
}

/// Why a teacher has no reply.
package enum TeacherError: Error, Equatable, CustomStringConvertible {
    /// All attempts failed; a later run may succeed.
    case unanswered(String)
    /// The failure would affect every problem.
    case useless(String)

    package var description: String {
        switch self {
        case .unanswered(let reason), .useless(let reason): reason
        }
    }
}
