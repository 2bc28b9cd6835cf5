import OrderedJSON
import TrainLoop

/// The report as JSON; see `schemas/eval-report.schema.json`.
extension EvaluationReport {
    var json: JSON {
        [
            "protocol": EvaluationProtocol(options).json,
            "results": .array(
                byData.flatMap { _, models in
                    models.map { model in object(model, first: models[0]) }
                }),
        ]
    }

    private func object(_ model: EvaluatedModel, first: EvaluatedModel) -> JSON {
        let result = model.evaluation
        var rows: [JSON] = []
        for condition in options.conditions {
            for level in [nil] + result.levels.map(Optional.some) {
                for mode in [nil] + Mode.allCases.map(Optional.some) {
                    let isFirst = model.checkpoint == first.checkpoint
                    let gain =
                        isFirst || mode != nil ? nil : result.gain(over: first.evaluation, condition, level: level)
                    let sampled = mode == nil ? result.sampledAccuracy(condition, level: level) : []
                    rows.append(
                        row(
                            result.summary(condition, level: level, mode: mode), sampled, condition, level, mode, gain))
                }
            }
        }
        return [
            "checkpoint": .string(model.checkpoint), "data": .string(model.data),
            "problems": .integer(result.problems.count), "rows": .array(rows),
            "choice": model.quality.map(object) ?? .null,
            "threshold_curve": model.curve.map { .array($0.points.map(object)) } ?? .null,
        ]
    }

    private func row(
        _ summary: Evaluation.Summary, _ sampled: [Evaluation.SampledAccuracy], _ condition: Evaluation.Condition,
        _ level: String?, _ mode: Mode?, _ gain: ClusteredMean?
    ) -> JSON {
        var members = JSONObject([
            ("condition", .string(condition.name)), ("level", level.map { .string($0) } ?? .null),
            ("mode", mode.map { .string($0.rawValue) } ?? .null), ("answers", .integer(summary.count)),
            (
                "pass_at_1",
                .object(JSONObject(summary.passAtOne.map { ($0.rule.rawValue, object($0.share)) }))
            ),
            ("tokens", object(summary.tokens)), ("prompt_and_response_tokens", .double(summary.promptAndResponse)),
            ("think_share", .double(summary.thinkShare)), ("short_share", .double(summary.shortShare)),
            ("truncated_share", .double(summary.truncatedShare)),
            ("malformed_share", .double(summary.malformedShare)),
            ("thinking_cut_share", .double(summary.thinkingCutShare)), ("p_think", .double(summary.pThink)),
            ("gain_over_first", gain.map(object) ?? .null),
        ])
        if case .threshold(let value) = condition { members["threshold"] = .double(value) }
        for (index, column) in (sampled.first?.passAtK ?? []).enumerated() {
            members["pass_at_\(column.k)"] = .object(
                JSONObject(sampled.map { ($0.rule.rawValue, object($0.passAtK[index].share)) }))
        }
        if let first = sampled.first {
            members["majority_at_\(first.samples)"] = .object(
                JSONObject(sampled.map { ($0.rule.rawValue, object($0.majority)) }))
        }
        return .object(members)
    }

    private func object(_ mean: ClusteredMean) -> JSON {
        ["mean": .double(mean.mean), "standard_error": .double(mean.standardError)]
    }

    private func object(_ quality: ModeChoiceQuality) -> JSON {
        [
            "samples": .integer(quality.samples), "gamma": .double(gamma), "margin": .double(quality.margin),
            "think_better_share": .double(quality.thinkBetterShare),
            "hybrid_accuracy": quality.hybridAccuracy.map(object) ?? .null,
            "hybrid_accuracy_by_level": .array(
                quality.hybridAccuracyByLevel.map { level, share in
                    [
                        "level": .string(level), "mean": .double(share.mean),
                        "standard_error": .double(share.standardError),
                    ]
                }),
            "oracle": [
                "pass_at_1": object(quality.oracle.accuracy), "reward": object(quality.oracle.reward),
                "mean_tokens": .double(quality.oracle.meanTokens), "think_share": .double(quality.oracle.thinkShare),
            ],
        ]
    }

    private func object(_ point: ThresholdCurve.Point) -> JSON {
        [
            "threshold": .double(point.threshold), "think_share": .double(point.thinkShare),
            "pass_at_1": object(point.accuracy), "mean_tokens": .double(point.meanTokens),
            "prompt_and_response_tokens": .double(point.promptAndResponse),
        ]
    }
}
