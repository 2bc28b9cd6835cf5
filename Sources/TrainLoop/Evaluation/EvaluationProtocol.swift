import OrderedJSON

/// What an evaluation did, and where that is not what the method's evaluation does (Thinkless, `run_eval.sh` and
/// `scripts/eval`), so that a report can say so.
public struct EvaluationProtocol: Sendable {
    public let options: Evaluation.Options

    public init(_ options: Evaluation.Options) { self.options = options }

    /// What decides which tokens are sampled: answers under equal settings may stand in one table and one file.
    public var settings: JSON {
        let common: JSON = [
            "prompt": .string(options.prompt.text), "samples": .integer(options.samplesPerProblem),
            "temperature": .double(options.temperature), "top_p": .double(options.topP),
            "max_new_tokens": .integer(options.maximumNewTokens),
            "thinking_budget": options.thinkingBudget.map { .integer($0) } ?? .null,
            "seed": .string(String(options.seed)),
        ]
        // Answer files from before there was a choice say nothing.
        guard case .object(var members) = common else { return common }
        if options.weightPrecision != .fp32 { members["weights"] = .string(options.weightPrecision.rawValue) }
        if options.products != .fp32 { members["products"] = .string(options.products.rawValue) }
        return .object(members)
    }

    /// Where this departs from the method, one phrase each.
    public var departures: [String] {
        var phrases: [String] = []
        switch options.prompt {
        case .method: break
        case .plain: phrases.append("prompt without the instruction")
        case .template: phrases.append("another prompt")
        }
        if options.temperature != 0.6 { phrases.append("temperature \(options.temperature) (method: 0.6)") }
        if options.topP != 0.95 { phrases.append("top-p \(options.topP) (method: 0.95)") }
        if options.maximumNewTokens != 32768 {
            phrases.append("at most \(options.maximumNewTokens) tokens (method: 32768)")
        }
        if options.samplesPerProblem != 5 {
            let count = options.samplesPerProblem
            phrases.append("\(count) \(count == 1 ? "sample" : "samples") a problem (method: 5)")
        }
        if let budget = options.thinkingBudget { phrases.append("thinking ended after \(budget) tokens") }
        if options.weightPrecision == .bf16 { phrases.append("weights held in bfloat16") }
        if options.products == .bf16 { phrases.append("products of numbers rounded to bfloat16") }
        if options.rule != .any { phrases.append("answer rule \(options.rule.rawValue)") }
        return phrases + [
            "answers inside the thinking and answers cut off do not count (there they do)",
            "equality is exact (there an equal first number is enough)",
        ]
    }

    public var json: JSON {
        var members = JSONObject()
        if case .object(let settings) = settings { for (key, value) in settings { members[key] = value } }
        members["answer_rule"] = .string(options.rule.rawValue)
        members["departures_from_the_method"] = .array(departures.map { .string($0) })
        return .object(members)
    }
}
