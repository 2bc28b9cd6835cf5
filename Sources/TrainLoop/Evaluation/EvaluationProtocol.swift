import OrderedJSON

/// The settings of an evaluation, and its differences from Thinkless's (`run_eval.sh`, `scripts/eval`), for reports.
package struct EvaluationProtocol: Sendable {
    package let options: Evaluation.Options

    package init(_ options: Evaluation.Options) { self.options = options }

    /// The settings that determine the sampled tokens; answers with equal settings may share a table and a file.
    package var settings: JSON {
        let common: JSON = [
            "prompt": .string(options.prompt.text), "samples": .integer(options.samplesPerProblem),
            "temperature": .double(options.temperature), "top_p": .double(options.topP),
            "max_new_tokens": .integer(options.maximumNewTokens),
            "thinking_budget": options.thinkingBudget.map { .integer($0) } ?? .null,
            "seed": .string(String(options.seed)),
        ]
        // Older answer files lack these keys, so fp32 is left out.
        guard case .object(var members) = common else { return common }
        if options.weightPrecision != .fp32 { members["weights"] = .string(options.weightPrecision.rawValue) }
        if options.products != .fp32 { members["products"] = .string(options.products.rawValue) }
        if options.cachePrecision != .fp32 { members["cache"] = .string(options.cachePrecision.rawValue) }
        if !options.serverMembers.isEmpty { members["extra"] = .object(options.serverMembers) }
        return .object(members)
    }

    /// The differences from the method, one phrase each.
    package var departures: [String] {
        var phrases: [String] = []
        switch options.prompt {
        case .method: break
        case .plain: phrases.append("prompt without the instruction")
        case .template: phrases.append("different prompt")
        }
        if options.temperature != 0.6 { phrases.append("temperature \(options.temperature) (method: 0.6)") }
        if options.topP != 0.95 { phrases.append("top-p \(options.topP) (method: 0.95)") }
        if options.maximumNewTokens != 32768 {
            phrases.append("at most \(options.maximumNewTokens) tokens (method: 32768)")
        }
        if options.samplesPerProblem != 5 {
            phrases.append("\(counted(options.samplesPerProblem, "sample")) per problem (method: 5)")
        }
        if let budget = options.thinkingBudget { phrases.append("thinking ended after \(counted(budget, "token"))") }
        if options.weightPrecision == .bf16 { phrases.append("weights in bfloat16") }
        if options.products == .bf16 { phrases.append("matrix products of factors rounded to bfloat16") }
        if options.cachePrecision == .bf16 { phrases.append("keys and values cached in bfloat16") }
        if !options.serverMembers.isEmpty {
            phrases.append("requests with \(JSON.object(options.serverMembers).serialized())")
        }
        if options.rule != .any { phrases.append("answer rule \(options.rule.rawValue)") }
        return phrases + [
            "answers inside the thinking and truncated answers do not count (method: they do)",
            "answers must be equivalent (method: an equal first number is enough)",
        ]
    }

    package var json: JSON {
        var members = JSONObject()
        if case .object(let settings) = settings { for (key, value) in settings { members[key] = value } }
        members["answer_rule"] = .string(options.rule.rawValue)
        members["departures_from_the_method"] = .array(departures.map { .string($0) })
        return .object(members)
    }
}
