import TrainLoop

/// The report as text: a table of checkpoints, then levels, then mode choices.
extension EvaluationReport {
    var text: String {
        var lines: [String] = []
        for (data, models) in byData {
            if byData.count > 1 { lines += [Style.bold("── \(data) ──"), ""] }
            lines += table(models)
            lines += sampled(models)
            lines += levels(models)
            for model in models { lines += choice(model, named: models.count > 1) }
            for model in models { lines += curve(model, named: models.count > 1) }
        }
        lines += notes
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: The table

    private func table(_ models: [EvaluatedModel]) -> [String] {
        let others = options.rules.dropFirst()
        var header = Format.column("", 18) + right("pass@1 (\(options.rule.rawValue))", 15)
        for rule in others { header += right(rule.rawValue, 9) }
        header += right("tokens", 9) + right("+ prompt", 10) + right("think", 8) + right("P(<think>)", 12)
        let comparesFirst = models.count > 1
        if comparesFirst { header += right("against first", 16) }
        var lines = [Style.bold(header)]
        for (index, model) in models.enumerated() {
            let result = model.evaluation
            lines.append(
                Style.bold(model.checkpoint)
                    + Style.faint(
                        "  \(Format.counted(result.problems.count, "problem")), "
                            + "\(Format.counted(options.samplesPerProblem, "sample")) each"))
            for condition in options.conditions {
                let summary = result.summary(condition)
                var line = row(title(condition), summary)
                if comparesFirst, index > 0 {
                    let gain = result.gain(over: models[0].evaluation, condition)
                    line += right(signed(gain), 16)
                }
                lines.append(line)
                let isMixed = summary.thinkShare > 0 && summary.shortShare > 0
                if condition == .auto, isMixed {
                    for mode in Mode.allCases {
                        lines.append(row("  chose \(mode.rawValue)", result.summary(condition, mode: mode)))
                    }
                }
            }
        }
        return lines + [""]
    }

    /// pass@k and maj@k, if problems are sampled several times.
    private func sampled(_ models: [EvaluatedModel]) -> [String] {
        guard let columns = models.first?.evaluation.sampledAccuracy(.auto).first else { return [] }
        var header = Format.column("several samples", 18)
        for (k, _) in columns.passAtK { header += right("pass@\(k)", 15) }
        var lines = [Style.bold(header + right("maj@\(columns.samples)", 15))]
        for model in models {
            if models.count > 1 { lines.append(Style.bold(model.checkpoint)) }
            for condition in options.conditions {
                guard let row = model.evaluation.sampledAccuracy(condition).first else { continue }
                let shares = row.passAtK.map(\.share) + [row.majority]
                lines.append(
                    Format.column("  " + title(condition), 18)
                        + shares.map { right(Format.withError($0), 15) }.joined())
            }
        }
        return lines + [""]
    }

    private func title(_ condition: Evaluation.Condition) -> String {
        switch condition {
        case .auto: "auto"
        case .forced(let mode): "forced \(mode.rawValue)"
        case .threshold(let value): "threshold \(Format.number(value))"
        }
    }

    private func row(_ name: String, _ summary: Evaluation.Summary) -> String {
        var line = Format.column("  " + name, 18) + right(Format.withError(summary.passAtOne[0].share), 15)
        for (_, share) in summary.passAtOne.dropFirst() { line += right(Format.percent(share.mean, decimals: 1), 9) }
        return line + right(Format.number(summary.meanTokens), 9)
            + right(Format.number(summary.promptAndResponse), 10) + right(Format.percent(summary.thinkShare), 8)
            + right(Format.percent(summary.pThink), 12)
    }

    private func right(_ text: String, _ width: Int) -> String { Format.column(text, width, alignRight: true) }

    private func signed(_ gain: ClusteredMean) -> String {
        guard gain.mean.isFinite else { return "–" }
        var size = gain
        size.mean = abs(gain.mean)
        return (gain.mean >= 0 ? "+" : "−") + Format.withError(size)
    }

    // MARK: Levels

    private func levels(_ models: [EvaluatedModel]) -> [String] {
        guard let first = models.first else { return [] }
        var lines: [String] = []
        if models.count == 2, options.conditions.contains(.auto) {
            lines += BeforeAfterText(before: models[0].evaluation, after: models[1].evaluation).lines + [""]
        }
        let levels = first.evaluation.levels
        guard levels.count > 1, models.count != 2 || !options.conditions.contains(.auto) else { return lines }
        for condition in options.conditions {
            var header = Format.column(title(condition), 18)
            for model in models {
                header += right(models.count > 1 ? tail(model.checkpoint, 24) : "pass@1, tokens, think", 26)
            }
            lines.append(Style.bold(header))
            for level in levels {
                var line = Format.column("  " + (level.isEmpty ? "none" : level), 18)
                for model in models {
                    let summary = model.evaluation.summary(condition, level: level)
                    line += right(
                        Format.percent(summary.accuracy, decimals: 1) + " "
                            + right(Format.number(summary.meanTokens), 7) + " "
                            + right(Format.percent(summary.thinkShare), 6), 26)
                }
                lines.append(line)
            }
        }
        return lines + [""]
    }

    /// The end of a path, where checkpoints usually differ.
    private func tail(_ path: String, _ width: Int) -> String {
        path.count > width ? "…" + path.suffix(width - 1) : path
    }

    // MARK: Mode choices

    private func choice(_ model: EvaluatedModel, named: Bool) -> [String] {
        guard let quality = model.quality else { return [] }
        var lines = [
            Style.bold("mode choices" + (named ? ", \(model.checkpoint)" : "")),
            "  the better mode has the higher mean reward over \(quality.samples) forced samples; "
                + "γ \(gamma), margin \(quality.margin), ties count as short",
            "  thinking is better on \(Format.percent(quality.thinkBetterShare, decimals: 1)) of the problems",
        ]
        if let accuracy = quality.hybridAccuracy {
            lines.append(
                "  hybrid accuracy  \(Format.withError(accuracy)): free answers in the better mode (always short "
                    + "\(Format.percent(1 - quality.thinkBetterShare, decimals: 1)), always think "
                    + "\(Format.percent(quality.thinkBetterShare, decimals: 1)))")
            if quality.hybridAccuracyByLevel.count > 1 {
                let parts = quality.hybridAccuracyByLevel.map { level, share in
                    "\(level.isEmpty ? "none" : level) \(Format.percent(share.mean))"
                }
                lines.append("                   " + parts.joined(separator: ", "))
            }
        }
        let oracle = quality.oracle
        lines.append(
            "  oracle bound     \(Format.withError(oracle.accuracy)) with \(Format.number(oracle.meanTokens)) tokens, "
                + "think \(Format.percent(oracle.thinkShare)): mode chosen on one half of the samples, scored on the "
                + "other half")
        return lines + [""]
    }

    private func curve(_ model: EvaluatedModel, named: Bool) -> [String] {
        guard let curve = model.curve, let always = curve.points.first, let never = curve.points.last else {
            return []
        }
        var marks = curve.points.map { (x: $0.meanTokens, y: $0.accuracy.mean, mark: Character("●")) }
        marks.append((always.meanTokens, always.accuracy.mean, "T"))
        marks.append((never.meanTokens, never.accuracy.mean, "S"))
        if options.conditions.contains(.auto) {
            let auto = model.evaluation.summary(.auto)
            marks.append((auto.meanTokens, auto.accuracy, "A"))
        }
        var lines = [
            Style.bold("accuracy against tokens by threshold of P(<think>)" + (named ? ", \(model.checkpoint)" : ""))
        ]
        lines += TextPlot.scatter(
            marks, line: ((never.meanTokens, never.accuracy.mean), (always.meanTokens, always.accuracy.mean)),
            width: 60, height: 14, xLabel: "tokens", yLabel: { Format.percent($0, decimals: 1) })
        lines.append(
            "  T always think, S never" + (options.conditions.contains(.auto) ? ", A the model's choices" : "")
                + ", ● thresholds, · random choices")
        lines.append("  threshold      think    pass@1           tokens   + prompt")
        for point in thinned(curve.points) {
            lines.append(
                "  " + Format.column(point.threshold.isFinite ? Format.number(point.threshold) : "never", 11)
                    + right(Format.percent(point.thinkShare), 9) + right(Format.withError(point.accuracy), 16)
                    + right(Format.number(point.meanTokens), 9) + right(Format.number(point.promptAndResponse), 11))
        }
        return lines + [""]
    }

    /// Up to 11 points of a curve; the JSON report has all of them.
    private func thinned(_ points: [ThresholdCurve.Point]) -> [ThresholdCurve.Point] {
        let most = 11
        guard points.count > most else { return points }
        return (0..<most).map { points[$0 * (points.count - 1) / (most - 1)] }
    }

    // MARK: Notes

    private var notes: [String] {
        let summaries = results.flatMap { result in options.conditions.map { result.evaluation.summary($0) } }
        var notes: [String] = []
        if let worst = summaries.map(\.truncatedShare).filter(\.isFinite).max(), worst > 0 {
            notes.append(
                "up to \(Format.percent(worst, decimals: 1)) of the answers of a row were truncated at "
                    + "--max-new-tokens \(options.maximumNewTokens); they count as wrong")
        }
        if let worst = summaries.map(\.thinkingCutShare).filter(\.isFinite).max(), worst > 0 {
            notes.append(
                "--budget ended the thinking of up to \(Format.percent(worst, decimals: 1)) of the answers of a row")
        }
        let hasBoth = options.conditions.contains(.think) && options.conditions.contains(.short)
        if hasBoth, options.samplesPerProblem < ModeChoiceQuality.minimumSamples {
            notes.append(
                "hybrid accuracy and the oracle bound need --samples \(ModeChoiceQuality.minimumSamples) or more")
        }
        notes.append(
            "prompt: \(options.prompt.text.replacing("\n", with: "⏎")); temperature \(options.temperature), "
                + "top-p \(options.topP); ± is one standard error, clustered by problem")
        let departures = EvaluationProtocol(options).departures.joined(separator: "; ")
        notes.append("differences from the evaluation of the method (Thinkless): " + departures)
        return notes.flatMap { wrapped($0) }
    }

    /// Breaks a text into lines between words.
    private func wrapped(_ text: String, width: Int = 110) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = "  " + word
            } else {
                line += (line.isEmpty ? "" : " ") + word
            }
        }
        return lines + [line]
    }
}
