import OrderedJSON
import TrainLoop

/// The report at the end of `ckpt distill`.
struct DistillText {
    let report: DistillationReport
    let output: String
    let retries: Int

    var json: JSON {
        var json = report.json
        json["output"] = .string(output)
        json["retries"] = .integer(retries)
        return json
    }

    var text: String {
        func share(_ count: Int) -> String {
            Format.percent(Double(count) / Double(max(report.problems, 1)), decimals: 1)
        }
        var lines = [
            Style.bold(
                "\(output): \(Format.counted(report.kept, "pair")) from \(Format.counted(report.problems, "problem"))")
        ]
        if report.clipped > 0 { lines.append("  \(Format.grouped(report.clipped)) of them with a truncated answer") }
        for length in report.lengths {
            lines.append(
                "  \(Format.column(length.mode.rawValue, 6)) median \(Format.grouped(length.spread.median)), largest "
                    + "\(Format.grouped(length.spread.largest)) \(length.unit)")
        }
        if report.droppedCount > 0 { lines.append("dropped \(Format.grouped(report.droppedCount)):") }
        for dropped in report.dropped.sorted(by: { $0.count > $1.count }) {
            let detail = dropped.detail.map { " (\($0.onOneLine().prefix(120)))" } ?? ""
            lines.append(
                "  \(Format.column(Format.grouped(dropped.count), 7, alignRight: true)) (\(share(dropped.count))) "
                    + "\(dropped.reason.text), first \(dropped.example.onOneLine(limit: 24))\(detail)")
        }
        if report.unanswered > 0 { lines.append("no answer after all retries: \(Format.grouped(report.unanswered))") }
        if report.open > 0 { lines.append("not asked: \(Format.grouped(report.open))") }
        var answers = "\(Format.counted(report.answersNow, "answer")) in \(Format.duration(report.seconds))"
        if report.answersFromEarlier > 0 {
            answers += ", \(Format.grouped(report.answersFromEarlier)) from earlier runs"
        }
        if retries > 0 { answers += "; \(Format.counted(retries, "retry", plural: "retries"))" }
        lines.append(answers)
        let damage = report.journalDamage
        if let text = damage.text(of: output + ".answers", remedy: "their answers are asked for again") {
            lines.append(text)
        }
        if !report.grades.isEmpty {
            let modes = Mode.allCases.compactMap { mode in
                report.grades[mode].map { grades in
                    "\(mode.rawValue) \(Format.grouped(grades.right)) of \(Format.grouped(grades.count)) ("
                        + Format.percent(Double(grades.right) / Double(grades.count), decimals: 1) + ")"
                }
            }
            lines.append("right answers: " + modes.joined(separator: ", "))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Why there is no pair, on one line.
    var nothingKept: String {
        let reasons = report.dropped.sorted { $0.count > $1.count }.map {
            "\($0.reason.text) (\(Format.grouped($0.count)))"
        }
        return "\(output): no pair kept from \(Format.counted(report.problems, "problem")): "
            + reasons.joined(separator: "; ")
    }
}
