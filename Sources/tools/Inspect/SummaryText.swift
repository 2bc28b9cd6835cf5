import CheckpointIO
import OrderedJSON

/// The summary of a checkpoint on one screen.
struct SummaryText {
    let summary: CheckpointSummary
    /// The cells of a line.
    var width = Terminal.outputColumns

    private static let labelWidth = 11
    /// The number of tokens, metrics and settings shown before the rest is only counted.
    private static let longest = 8
    /// The most informative metrics, in the order to show them; others follow if there is room.
    private static let telling = [
        "reward_mean", "acc_think", "acc_short", "num_think", "num_short", "response_length_mean", "p_think_mean",
        "grad_norm", "loss", "control_loss", "think_loss", "short_loss",
    ]

    var lines: [String] {
        let metadata = summary.file.metadata
        let kind = metadata.kind == .training ? "training state" : "model"
        let state =
            summary.file.origin?.format.name
            ?? "\(kind), step \(metadata.step), by \(metadata.createdBy.onOneLine(limit: 60))"
        var lines = ["\(Style.bold(summary.file.path))  \(state)"]
        lines += section("model", modelLines)
        lines += section("file", fileLines)
        lines += section("tokenizer", tokenizerLines)
        lines += section("lineage", metadata.lineage.enumerated().map { Self.story(number: $0 + 1, $1) })
        lines += section("adapter", adapterLines)
        lines += section("training", trainingLines)
        for (phase, history) in metadata.history.sorted(by: { $0.key < $1.key }) {
            lines += section("\(phase) run", historyLines(history))
        }
        if let preference = summary.modePreference { lines += section("modes", modeLines(preference)) }
        if let origin = summary.file.origin {
            lines += section("notes", origin.notes.map { $0.onOneLine(limit: 300) })
        } else {
            lines += section("digest", [summary.file.digest])
        }
        return lines
    }

    private func section(_ label: String, _ content: [String]) -> [String] {
        content.flatMap { $0.wrapped(to: width - Self.labelWidth) }.enumerated().map { index, line in
            Style.faint(Format.column(index == 0 ? label : "", Self.labelWidth)) + line
        }
    }

    private var modelLines: [String] {
        let configuration = summary.configuration
        let weights = summary.weights
        let family = configuration["model_type"]?.string?.onOneLine(limit: 40) ?? "unknown family"
        let types = weights.types.map(\.rawValue).joined(separator: ", ")
        var lines = [
            "\(family), \(Format.counted(weights.elementCount, "parameter")) in "
                + "\(Format.counted(weights.tensorCount, "tensor")), \(types)"
        ]
        let names = [
            ("num_hidden_layers", "layers"), ("hidden_size", "hidden"), ("num_attention_heads", "heads"),
            ("num_key_value_heads", "key-value heads"), ("vocab_size", "vocabulary"),
        ]
        let parts = names.compactMap { key, name in configuration[key]?.int.map { "\(name) \(Format.grouped($0))" } }
        if !parts.isEmpty { lines.append(parts.joined(separator: ", ")) }
        for (name, target) in summary.file.metadata.tiedTensors.sorted(by: { $0.key < $1.key }) {
            lines.append("\(name.onOneLine(limit: 80)) tied to \(target)")
        }
        if let note = ConfigurationNote.text(summary.file.metadata.config) { lines.append(note) }
        return lines
    }

    private var fileLines: [String] {
        func extent(_ name: String, _ extent: CheckpointSummary.Extent) -> String {
            if extent.storedByteCount == 0 {
                return "\(name) \(Format.bytes(extent.byteCount)), computed from the base and the adapter"
            }
            guard summary.file.origin == nil else {
                let quantized = extent.quantizations.map { "\($0.count) in \($0.name)" }.joined(separator: ", ")
                return "\(Format.counted(extent.tensorCount, "tensor"))"
                    + (quantized.isEmpty ? "" : ", \(quantized)")
            }
            let ratio = Double(extent.storedByteCount) / Double(extent.byteCount)
            return "\(name) \(Format.bytes(extent.byteCount)) stored in \(Format.bytes(extent.storedByteCount)) "
                + "(\(Format.percent(ratio, decimals: 1)))"
        }
        var lines = [Format.bytes(summary.file.fileByteCount) + "; " + extent("weights", summary.weights)]
        if let optimizer = summary.file.metadata.optimizer {
            lines.append(extent("optimizer, step \(optimizer.step):", summary.optimizer))
        }
        return lines
    }

    private var adapterLines: [String] {
        guard let record = summary.file.metadata.adapter else { return [] }
        let dropout = record.dropout == 0 ? "" : ", dropout \(Format.number(record.dropout))"
        return [
            "LoRA, \(record.settingsText)\(dropout); "
                + "\(Format.counted(summary.adapter.elementCount, "parameter"))",
            "on \(record.targets.map { $0.onOneLine(limit: 40) }.joined(separator: ", "))",
            "base \(Format.shortDigest(record.baseDigest)) \(record.basePath.onOneLine(limit: 100)); "
                + (summary.file.metadata.adaptedWeights.isEmpty
                    ? "\(Format.counted(summary.base.tensorCount, "tensor")) of it in the file" : "not in the file"),
        ]
    }

    private var tokenizerLines: [String] {
        guard let tokenizer = summary.file.metadata.tokenizer else { return ["none"] }
        let control = [("think", tokenizer.thinkID), ("think end", tokenizer.thinkEndID), ("short", tokenizer.shortID)]
            .compactMap { name, id in id.map { "\(name) \($0)" } }
        let tokens = tokenizer.addedTokens
        var lines = [
            "\(Format.bytes(tokenizer.json.count)), \(Format.counted(tokens.count, "added token")); control tokens: "
                + (control.isEmpty ? "none (see ckpt add-tokens)" : control.joined(separator: ", "))
        ]
        let ids = [tokenizer.thinkID, tokenizer.thinkEndID, tokenizer.shortID].compactMap(\.self)
        // Control tokens and tokens that are not trained yet matter most.
        let shown = tokens.filter { ids.contains($0.id) || !$0.trained }
        for token in shown.prefix(Self.longest) {
            let state = (token.special ? "special, " : "") + (token.trained ? "trained" : Style.yellow("not trained"))
            lines.append("\(Format.column(String(token.id), 8))\(Format.column(token.content, 20)) \(state)")
        }
        if shown.count > Self.longest { lines.append("… and \(shown.count - Self.longest) more not trained") }
        let others = tokens.filter { token in !shown.contains { $0.id == token.id } }
        if !others.isEmpty {
            let names = others.prefix(3).map { $0.content.onOneLine(limit: 24) }.joined(separator: "  ")
            let rest = others.count > 3 ? "  … and \(others.count - 3) more" : ""
            lines.append("trained: \(names)\(rest)")
        }
        return lines
    }

    /// A lineage entry on one line.
    private static func story(number: Int, _ text: String) -> String {
        guard let entry = LineageEntry(text: text) else { return Format.column("\(number). \(text)", 100) }
        var parts = ["\(number). \(Style.bold(entry.operation.onOneLine(limit: 40)))"]
        if let parent = entry.parent { parts.append("from \(Format.shortDigest(parent).onOneLine())") }
        parts.append("by \(entry.tool.onOneLine(limit: 40))")
        let arguments = (entry.arguments.object ?? JSONObject()).compactMap { key, value -> String? in
            switch value {
            case .string(let text): "\(key.onOneLine(limit: 40)) \(Format.column(text, min(text.count, 40)))"
            case .number(let literal): "\(key.onOneLine(limit: 40)) \(literal.prefix(30))"
            case .bool(let flag): flag ? key.onOneLine(limit: 40) : nil
            case .null, .array, .object: nil
            }
        }
        if !arguments.isEmpty { parts.append("(\(arguments.prefix(4).joined(separator: ", ")))") }
        return parts.joined(separator: " ")
    }

    private var trainingLines: [String] {
        guard let text = summary.file.metadata.trainingState else { return [] }
        guard let state = try? JSON.parse(text).object else { return [Format.column(text, 100)] }
        let parts = state.compactMap { key, value -> String? in
            switch value {
            case .string(let text):
                "\(key) \(text.count == 64 ? Format.shortDigest(text) : Format.column(text, min(text.count, 40)))"
            case .number(let literal): "\(key) \(literal)"
            case .bool(let flag): "\(key) \(flag ? "yes" : "no")"
            case .null, .array, .object: nil
            }
        }
        return [parts.prefix(Self.longest).joined(separator: ", ").onOneLine()]
    }

    private func historyLines(_ history: MetricHistory) -> [String] {
        let metrics = history.names.filter { $0 != "step" }
        let chosen = Self.telling.filter(metrics.contains) + metrics.filter { !Self.telling.contains($0) }
        let nameWidth = min(24, width - Self.labelWidth - 28)
        let strip = min(30, width - Self.labelWidth - nameWidth - 11)
        let lines = chosen.prefix(Self.longest).map { name in
            let values = history[name] ?? []
            let finite = values.filter(\.isFinite)
            let last = Format.value(finite.last ?? .nan)
            let title = Format.column(name, nameWidth) + " "
            return finite.count > 1
                ? title + Format.column(TextPlot.sparkline(values, width: strip), strip) + " " + last : title + last
        }
        let rest = metrics.count - lines.count
        let heading =
            "\(Format.counted(history.rowCount, "row")), \(Format.counted(metrics.count, "metric"))"
            + (rest > 0 ? ", of which \(Self.longest):" : "")
        return [heading] + lines
    }

    private func modeLines(
        _ preference: (step: Int, promptCount: Int, think: Double, short: Double)
    ) -> [String] {
        let width = min(30, width - Self.labelWidth - 20)
        return [
            "at step \(preference.step), over \(Format.counted(preference.promptCount, "prompt"))",
            "P(<think>)  \(TextPlot.bar(preference.think, width: width)) \(Format.number(preference.think))",
            "P(<short>)  \(TextPlot.bar(preference.short, width: width)) \(Format.number(preference.short))",
        ]
    }
}
