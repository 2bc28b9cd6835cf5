import TrainLoop

/// The report in Markdown: pass@1 / tokens (think %) by model and data, as in table 1 of the Thinkless paper.
extension EvaluationReport {
    var markdown: String {
        var lines = [
            "| model | mode | " + byData.map { cell($0.data) }.joined(separator: " | ") + " |",
            "|---|---|" + String(repeating: "---|", count: byData.count),
        ]
        for checkpoint in checkpoints {
            for condition in options.conditions {
                let cells = byData.map { data, models in
                    models.first { $0.checkpoint == checkpoint }
                        .map { entry($0.evaluation.summary(condition), condition) } ?? "–"
                }
                lines.append("| \(cell(checkpoint)) | \(name(condition)) | " + cells.joined(separator: " | ") + " |")
            }
        }
        lines += [
            "",
            "Pass@1 ± standard error (clustered by problem) / mean tokens of prompt and response (answers that think). "
                + "Prompt `\(options.prompt.text.replacing("\n", with: "\\n"))`, temperature "
                + "\(options.temperature), top-p \(options.topP), "
                + "\(Format.counted(options.samplesPerProblem, "sample")) per problem, "
                + "answer rule \(options.rule.rawValue).",
        ]
        lines += ["", "Differences from the evaluation of the method (Thinkless):", ""]
        lines += EvaluationProtocol(options).departures.map { "- " + $0 }
        lines += byModeTables + sampledTables + choiceTable
        return lines.joined(separator: "\n") + "\n"
    }

    private var checkpoints: [String] {
        var names: [String] = []
        for result in results where !names.contains(result.checkpoint) { names.append(result.checkpoint) }
        return names
    }

    private func name(_ condition: Evaluation.Condition) -> String {
        switch condition {
        case .auto: "auto"
        case .forced(let mode): "forced \(mode.rawValue)"
        case .threshold(let value): "P(`<think>`) ≥ \(Format.number(value))"
        }
    }

    private func entry(_ summary: Evaluation.Summary, _ condition: Evaluation.Condition) -> String {
        var text = four(summary.passAtOne[0].share) + " / \(tokens(summary.promptAndResponse))"
        if case .forced = condition { return text }
        text += " (\(Format.percent(summary.thinkShare, decimals: 2)))"
        return text
    }

    private func four(_ share: ClusteredMean) -> String {
        func digits(_ value: Double) -> String { value.isFinite ? Format.decimals(value, 4) : "–" }
        return digits(share.mean) + (share.standardError.isFinite ? " ± " + digits(share.standardError) : "")
    }

    private func tokens(_ mean: Double) -> String { mean.isFinite ? Format.decimals(mean, mean < 100 ? 1 : 0) : "–" }

    /// Escapes a file name so that it cannot end a cell or a line.
    private func cell(_ text: String) -> String {
        text.onOneLine().replacing("|", with: "\\|")
    }

    /// Answers by mode and level.
    private var byModeTables: [String] {
        var lines: [String] = []
        for (data, models) in byData {
            lines += [
                "", "### \(cell(data))", "",
                "| model | mode | level | pass@1 | "
                    + options.rules.dropFirst().map { "\($0.rawValue) | " }.joined()
                    + "tokens | + prompt | think % | think: pass@1, tokens | short: pass@1, tokens |",
                "|---|---|---|---|" + String(repeating: "---|", count: options.rules.count + 4),
            ]
            for model in models {
                let result = model.evaluation
                let levels: [String?] = [nil] + (result.levels.count > 1 ? result.levels.map { $0 } : [])
                for condition in options.conditions {
                    for level in levels {
                        let all = result.summary(condition, level: level)
                        let modes = Mode.allCases.map { mode in
                            let part = result.summary(condition, level: level, mode: mode)
                            return part.count == 0
                                ? "–" : "\(Format.decimals(part.accuracy, 4)), \(tokens(part.meanTokens))"
                        }
                        let rules = all.passAtOne.dropFirst().map { four($0.share) }
                        let columns =
                            [
                                cell(model.checkpoint), name(condition),
                                level.map { cell($0.isEmpty ? "none" : $0) } ?? "all",
                            ]
                            + [four(all.passAtOne[0].share)] + rules
                            + [
                                tokens(all.meanTokens), tokens(all.promptAndResponse),
                                Format.percent(all.thinkShare, decimals: 2),
                            ] + modes
                        lines.append("| " + columns.joined(separator: " | ") + " |")
                    }
                }
            }
        }
        return lines
    }

    /// pass@k and maj@k by model and level, if problems are sampled several times.
    private var sampledTables: [String] {
        var lines: [String] = []
        for (data, models) in byData {
            guard let columns = models.first?.evaluation.sampledAccuracy(.auto).first else { continue }
            lines += [
                "", "### \(cell(data)): several samples", "",
                "| model | mode | level | " + columns.passAtK.map { "pass@\($0.k) | " }.joined()
                    + "maj@\(columns.samples) |",
                "|---|---|---|" + String(repeating: "---|", count: columns.passAtK.count + 1),
            ]
            for model in models {
                let levels = model.evaluation.levels
                for condition in options.conditions {
                    for level in [nil] + (levels.count > 1 ? levels.map(Optional.some) : []) {
                        guard let row = model.evaluation.sampledAccuracy(condition, level: level).first else {
                            continue
                        }
                        let names = [
                            cell(model.checkpoint), name(condition),
                            level.map { cell($0.isEmpty ? "none" : $0) } ?? "all",
                        ]
                        let shares = row.passAtK.map { four($0.share) } + [four(row.majority)]
                        lines.append("| " + (names + shares).joined(separator: " | ") + " |")
                    }
                }
            }
        }
        return lines
    }

    private var choiceTable: [String] {
        guard let first = results.compactMap(\.quality).first else { return [] }
        var lines = [
            "", "### Mode choices", "",
            "The better mode has the higher mean reward over \(first.samples) forced samples; γ \(gamma), "
                + "margin \(first.margin), ties count as short. The oracle chooses on one half of the samples and is "
                + "scored on the other half.", "",
            "| model | data | think is better | hybrid accuracy | oracle: pass@1 | tokens | think % |",
            "|---|---|---|---|---|---|---|",
        ]
        for result in results {
            guard let quality = result.quality else { continue }
            let columns = [
                cell(result.checkpoint), cell(result.data), Format.percent(quality.thinkBetterShare, decimals: 2),
                quality.hybridAccuracy.map(four) ?? "–", four(quality.oracle.accuracy),
                tokens(quality.oracle.meanTokens), Format.percent(quality.oracle.thinkShare, decimals: 2),
            ]
            lines.append("| " + columns.joined(separator: " | ") + " |")
        }
        return lines
    }
}
