import OrderedJSON
import TrainLoop

/// The results of one checkpoint on one set of problems.
struct EvaluatedModel {
    let checkpoint: String
    let data: String
    let evaluation: Evaluation
    let quality: ModeChoiceQuality?
    let curve: ThresholdCurve?

    init(checkpoint: String, data: String, evaluation: Evaluation, _ reporting: EvaluationReportArguments) {
        self.checkpoint = checkpoint
        self.data = data
        self.evaluation = evaluation
        quality = ModeChoiceQuality(evaluation, rewards: .init(gamma: reporting.gamma), margin: reporting.margin)
        if case .sweep = reporting.threshold { curve = ThresholdCurve(evaluation) } else { curve = nil }
    }
}

/// The report of an evaluation as text, Markdown or JSON.
struct EvaluationReport {
    /// Ordered by checkpoint, then by data.
    let results: [EvaluatedModel]
    let options: Evaluation.Options
    private let reporting: EvaluationReportArguments

    init(results: [EvaluatedModel], options: Evaluation.Options, _ reporting: EvaluationReportArguments) {
        self.results = results
        self.options = options
        self.reporting = reporting
    }

    /// The report as text, or as Markdown if that was asked for.
    var rendered: String { reporting.markdown ? markdown : text }

    var gamma: Double { reporting.gamma }

    /// The results by set of problems.
    var byData: [(data: String, models: [EvaluatedModel])] {
        var names: [String] = []
        for result in results where !names.contains(result.data) { names.append(result.data) }
        return names.map { name in (name, results.filter { $0.data == name }) }
    }

    /// The requirements that the last checkpoint does not meet.
    func shortfalls(thinkAccuracy: Double?, modeShare: Double?) -> [String] {
        guard let checkpoint = results.last?.checkpoint else { return [] }
        var shortfalls: [String] = []
        for result in results where result.checkpoint == checkpoint {
            let place = byData.count > 1 ? " on \(result.data)" : ""
            if let thinkAccuracy {
                let found = result.evaluation.summary(.think).accuracy
                if !(found >= thinkAccuracy) {
                    shortfalls.append(
                        "forced thinking is right in \(Format.percent(found, decimals: 1))\(place), but "
                            + "\(Format.percent(thinkAccuracy, decimals: 1)) is required")
                }
            }
            if let modeShare {
                let summary = result.evaluation.summary(.auto)
                for (mode, found) in [(Mode.think, summary.thinkShare), (.short, summary.shortShare)]
                where !(found >= modeShare) {
                    shortfalls.append(
                        "\(mode.rawValue) is chosen in \(Format.percent(found, decimals: 1))\(place), but "
                            + "\(Format.percent(modeShare, decimals: 1)) is required")
                }
            }
        }
        return shortfalls
    }
}
