import CheckpointIO
import OrderedJSON

/// A checkpoint on one screen.
struct SummaryText {
    let summary: CheckpointSummary

    private static let labelWidth = 11
    /// Added tokens and metrics shown before the rest is only counted.
    private static let longest = 8

    var lines: [String] {
        let metadata = summary.file.metadata
        let kind = metadata.kind == .training ? "training state" : "model"
        var lines = ["\(Style.bold(summary.file.path))  \(kind), step \(metadata.step), by \(metadata.createdBy)"]
        lines += section("model", modelLines)
        lines += section("file", fileLines)
        lines += section("tokenizer", tokenizerLines)
        lines += section("lineage", metadata.lineage.enumerated().map { Self.story(number: $0 + 1, $1) })
        lines += section("training", trainingLines)
        for (phase, history) in metadata.history.sorted(by: { $0.key < $1.key }) {
            lines += section("\(phase) run", Self.historyLines(history))
        }
        if let preference = summary.modePreference { lines += section("modes", modeLines(preference)) }
        lines += section("digest", [summary.file.digest])
        return lines
    }

    private func section(_ label: String, _ content: [String]) -> [String] {
        content.enumerated().map { index, line in
            Style.faint(Format.column(index == 0 ? label : "", Self.labelWidth)) + line
        }
    }

    private var modelLines: [String] {
        let configuration = summary.configuration
        let weights = summary.weights
        let family = configuration["model_type"]?.string ?? "unknown family"
        let types = weights.types.map(\.rawValue).joined(separator: ", ")
        var lines = [
            "\(family), \(Format.grouped(weights.elementCount)) parameters in \(weights.tensorCount) tensors, \(types)"
        ]
        let names = [
            ("num_hidden_layers", "layers"), ("hidden_size", "hidden"), ("num_attention_heads", "heads"),
            ("num_key_value_heads", "key-value heads"), ("vocab_size", "vocabulary"),
        ]
        let parts = names.compactMap { key, name in configuration[key]?.int.map { "\(name) \(Format.grouped($0))" } }
        if !parts.isEmpty { lines.append(parts.joined(separator: ", ")) }
        for (name, target) in summary.file.metadata.tiedTensors.sorted(by: { $0.key < $1.key }) {
            lines.append("\(name) tied to \(target)")
        }
        return lines
    }

    private var fileLines: [String] {
        func extent(_ name: String, _ extent: CheckpointSummary.Extent) -> String {
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

    private var tokenizerLines: [String] {
        guard let tokenizer = summary.file.metadata.tokenizer else { return ["none"] }
        let control = [("think", tokenizer.thinkID), ("think end", tokenizer.thinkEndID), ("short", tokenizer.shortID)]
            .compactMap { name, id in id.map { "\(name) \($0)" } }
        let tokens = tokenizer.addedTokens
        var lines = [
            "\(Format.bytes(tokenizer.json.count)), \(tokens.count) added tokens; control tokens: "
                + (control.isEmpty ? "none (ckpt add-tokens)" : control.joined(separator: ", "))
        ]
        let ids = [tokenizer.thinkID, tokenizer.thinkEndID, tokenizer.shortID].compactMap(\.self)
        // The control tokens and those not trained yet are what one looks for.
        let shown = tokens.filter { ids.contains($0.id) || !$0.trained }
        for token in shown.prefix(Self.longest) {
            let state = (token.special ? "special, " : "") + (token.trained ? "trained" : Style.yellow("not trained"))
            lines.append("\(Format.column(String(token.id), 8))\(Format.column(token.content, 20)) \(state)")
        }
        if shown.count > Self.longest { lines.append("… and \(shown.count - Self.longest) more not trained") }
        return lines
    }

    /// A lineage entry as a sentence.
    private static func story(number: Int, _ text: String) -> String {
        guard let entry = LineageEntry(text: text) else { return Format.column("\(number). \(text)", 100) }
        var parts = ["\(number). \(Style.bold(entry.operation))"]
        if let parent = entry.parent { parts.append("of \(Format.shortDigest(parent))") }
        parts.append("by \(entry.tool)")
        let arguments = (entry.arguments.object ?? JSONObject()).compactMap { key, value -> String? in
            switch value {
            case .string(let text): "\(key) \(Format.column(text, min(text.count, 40)))"
            case .number(let literal): "\(key) \(literal)"
            case .bool(let flag): flag ? key : nil
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
        return [parts.prefix(Self.longest).joined(separator: ", ")]
    }

    private static func historyLines(_ history: MetricHistory) -> [String] {
        let metrics = history.names.filter { $0 != "step" }
        let lines = metrics.prefix(longest).map { name in
            let values = history[name] ?? []
            return "\(Format.column(name, 24)) \(TextPlot.sparkline(values, width: 30)) "
                + Format.number(values.last ?? .nan)
        }
        let rest = metrics.count - lines.count
        let heading = "\(history.rowCount) rows, \(metrics.count) metrics" + (rest > 0 ? ", the first \(longest):" : "")
        return [heading] + lines
    }

    private func modeLines(
        _ preference: (step: Int, promptCount: Int, think: Double, short: Double)
    ) -> [String] {
        let width = 30
        return [
            "at step \(preference.step), over \(preference.promptCount) prompts",
            "P(<think>)  \(TextPlot.bar(preference.think, width: width)) \(Format.number(preference.think))",
            "P(<short>)  \(TextPlot.bar(preference.short, width: width)) \(Format.number(preference.short))",
        ]
    }
}
