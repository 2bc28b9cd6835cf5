import OrderedJSON
import TrainLoop

/// The metrics of a step as a part of one line.
enum MetricLine {
    /// The values of some metrics by their names.
    static func named(_ names: [String], _ row: MetricRow) -> String {
        names.compactMap { name in row[name].map { "\(name) \(Format.number($0))" } }.joined(separator: "  ")
    }

    /// The measurements of a warm-up on held-out data.
    static func heldOut(_ row: MetricRow) -> String {
        var parts: [String] = []
        if let think = row["eval_think_loss"], let short = row["eval_short_loss"] {
            parts.append("loss think \(Format.number(think)), short \(Format.number(short))")
        }
        for mode in ["think", "short"] {
            guard let tokens = row["eval_tokens_\(mode)"], let formed = row["eval_formed_\(mode)"] else { continue }
            let accuracy = row["eval_acc_\(mode)"].map { "right \(Format.percent($0)), " } ?? ""
            parts.append(
                "forced \(mode): \(accuracy)well formed \(Format.percent(formed)), \(Format.number(tokens)) tokens")
        }
        return parts.isEmpty ? "no data to measure on" : parts.joined(separator: "; ")
    }

    /// A step of reinforcement learning: reward and use of the modes first, the loss last.
    static func reinforcement(_ row: MetricRow) -> String {
        func value(_ name: String) -> Double { row[name] ?? .nan }
        func number(_ name: String) -> String { Format.number(value(name)) }
        let chosen = value("num_think") + value("num_short")
        func share(_ name: String) -> String { Format.percent(chosen > 0 ? value(name) / chosen : .nan) }
        var parts = [
            "reward \(number("reward_mean"))", "think \(share("num_think"))",
            "short \(share("num_short"))",
            "right \(Format.percent(value("acc_think"))) / \(Format.percent(value("acc_short")))",
            "tokens \(number("response_length_think")) / \(number("response_length_short"))",
        ]
        if value("malformed") > 0 { parts.append("malformed \(Int(saturating: value("malformed")))") }
        let truncated = value("truncated_think") + value("truncated_short")
        if truncated > 0 { parts.append("truncated \(Int(saturating: truncated))") }
        if value("kl_loss") != 0 { parts.append("kl \(number("kl_loss"))") }
        parts += ["gradient \(number("grad_norm"))", "loss \(number("loss"))"]
        return parts.joined(separator: "  ")
    }
}
