import OrderedJSON

/// What an evaluation did, and where that is not what the method's evaluation does (Thinkless, `run_eval.sh` and
/// `scripts/eval`), so that a report can say so.
public struct EvaluationProtocol: Sendable {
    public let options: Evaluation.Options

    public init(_ options: Evaluation.Options) { self.options = options }

    /// What decides which tokens are sampled: answers under equal settings may stand in one table and one file.
    public var settings: JSON {
        [
            "prompt": .string(options.prompt.text), "samples": .integer(options.samplesPerProblem),
            "temperature": .double(options.temperature), "top_p": .double(options.topP),
            "max_new_tokens": .integer(options.maximumNewTokens),
            "thinking_budget": options.thinkingBudget.map { .integer($0) } ?? .null,
            "seed": .string(String(options.seed)),
        ]
    }

    /// Where this departs from the method, one line each.
    public var departures: [String] {
        var lines: [String] = []
        if options.prompt != .method {
            lines.append(
                options.prompt == .plain
                    ? "the prompt is the problem alone, without the method's instruction"
                    : "the prompt is not the method's")
        }
        if options.temperature != 0.6 { lines.append("temperature \(options.temperature); the method's is 0.6") }
        if options.topP != 0.95 { lines.append("top-p \(options.topP); the method's is 0.95") }
        if options.maximumNewTokens != 32768 {
            lines.append("answers of at most \(options.maximumNewTokens) tokens; the method allows 32768")
        }
        if options.samplesPerProblem != 5 {
            let count = options.samplesPerProblem
            lines.append("\(count) \(count == 1 ? "sample" : "samples") a problem; the method runs 5 times")
        }
        if let budget = options.thinkingBudget { lines.append("thinking is ended after \(budget) tokens") }
        if options.rule != .any { lines.append("answers by the rule \(options.rule.rawValue), which is stricter") }
        lines.append("answers inside the thinking do not count, nor do answers cut off; the method takes both")
        lines.append("equality is exact; the method also takes an equal first number")
        return lines
    }

    public var json: JSON {
        var members = JSONObject()
        if case .object(let settings) = settings { for (key, value) in settings { members[key] = value } }
        members["answer_rule"] = .string(options.rule.rawValue)
        members["departures_from_the_method"] = .array(departures.map { .string($0) })
        return .object(members)
    }
}
