/// A step's metrics as part of one line.
enum MetricLine {
    typealias Metrics = [(name: String, value: Double)]

    /// The values of some metrics by their names.
    static func named(_ names: [String], _ metrics: Metrics) -> String {
        names.compactMap { name in
            metrics.first { $0.name == name }.map { "\(name) \(Format.number($0.value))" }
        }.joined(separator: "  ")
    }

    /// What a warm-up is on held-out pairs.
    static func heldOut(_ metrics: Metrics) -> String {
        func value(_ name: String) -> Double? { metrics.first { $0.name == name }?.value }
        var parts: [String] = []
        if let think = value("eval_think_loss"), let short = value("eval_short_loss") {
            parts.append("loss think \(Format.number(think)), short \(Format.number(short))")
        }
        if let think = value("p_think_mean"), let short = value("p_short_mean") {
            parts.append("P(<think>) \(Format.percent(think)), P(<short>) \(Format.percent(short))")
        }
        for mode in ["think", "short"] {
            guard let tokens = value("eval_tokens_\(mode)"), let formed = value("eval_formed_\(mode)") else { continue }
            let accuracy = value("eval_acc_\(mode)").map { "right \(Format.percent($0)), " } ?? ""
            parts.append(
                "forced \(mode): \(accuracy)well formed \(Format.percent(formed)), \(Format.number(tokens)) tokens")
        }
        return parts.isEmpty ? "nothing to measure on" : parts.joined(separator: "; ")
    }

    /// Reinforcement learning: reward and use of the modes first, the loss last.
    static func reinforcement(_ metrics: Metrics) -> String {
        func value(_ name: String) -> Double { metrics.first { $0.name == name }?.value ?? .nan }
        let chosen = value("num_think") + value("num_short")
        func share(_ name: String) -> String { Format.percent(chosen > 0 ? value(name) / chosen : .nan) }
        var parts = [
            "reward \(Format.number(value("reward_mean")))", "think \(share("num_think"))",
            "short \(share("num_short"))",
            "right \(Format.percent(value("acc_think"))) / \(Format.percent(value("acc_short")))",
            "tokens \(Format.number(value("response_length_think"))) / \(Format.number(value("response_length_short")))",
        ]
        if value("malformed") > 0 { parts.append("malformed \(Int(value("malformed")))") }
        let truncated = value("truncated_think") + value("truncated_short")
        if truncated > 0 { parts.append("truncated \(Int(truncated))") }
        if value("kl_loss") != 0 { parts.append("kl \(Format.number(value("kl_loss")))") }
        parts += ["gradient \(Format.number(value("grad_norm")))", "loss \(Format.number(value("loss")))"]
        return parts.joined(separator: "  ")
    }
}
