import OrderedJSON
import TrainLoop

/// The report at the end of `ckpt distill`.
struct DistillText {
    private let report: DistillationReport
    private let output: String
    private let servers: [ServerTeacher.Statistics]

    init(_ report: DistillationReport, output: String, servers: [ServerTeacher.Statistics]) {
        self.report = report
        self.output = output
        self.servers = servers
    }

    private var retries: Int { servers.reduce(0) { $0 + $1.retries } }

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
            Style.bold("\(output): \(Format.grouped(report.kept)) pairs of \(Format.grouped(report.problems)) problems")
        ]
        if report.clipped > 0 { lines.append("  \(Format.grouped(report.clipped)) of them with an answer cut off") }
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
                    + "\(dropped.reason.text), first \(Format.column(dropped.example, 24).trimmingEnd)\(detail)")
        }
        if report.unanswered > 0 { lines.append("without an answer after all retries: \(report.unanswered)") }
        if report.open > 0 { lines.append("not asked: \(Format.grouped(report.open))") }
        var asked = "\(Format.grouped(report.answersNow)) answers in \(Format.duration(report.seconds))"
        if report.answersFromEarlier > 0 { asked += ", \(Format.grouped(report.answersFromEarlier)) from earlier runs" }
        if retries > 0 { asked += "; \(Format.grouped(retries)) requests were made again" }
        lines.append(asked)
        return lines.joined(separator: "\n") + "\n"
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var text = self
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}
