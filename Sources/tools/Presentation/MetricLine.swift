import OrderedJSON
import TrainLoop

/// Metrics as a part of one line.
enum MetricLine {
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
}
