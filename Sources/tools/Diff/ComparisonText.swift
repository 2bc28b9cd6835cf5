import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TrainLoop

/// A comparison of two checkpoints on one screen of 80 columns, most important facts first.
struct ComparisonText {
    let report: ComparisonReport
    /// The measurements on both models; nil without --probe.
    var behavior: BehaviorComparison?
    /// The texts of --modes.
    var modes: ModeNames?
    /// The cells of a line.
    var width = Terminal.outputColumns

    var lines: [String] {
        var lines = verdict
        lines += structure
        if !report.isSame {
            lines += weights
            lines += QuantizationText(report)?.lines ?? []
            lines += controlTokens
            lines += optimizer
            lines += report.adapters.map { AdapterText(adapters: $0).lines } ?? []
        }
        lines +=
            report.modePreference.map { change in
                let snapshots = "snapshots of \(report.steps(change.stepA, change.stepB))"
                let source = behavior?.preferenceB != nil ? "both models asked now" : snapshots
                return ModePreferenceText(
                    change: change, source: source,
                    modes: modes.map { ($0.think, $0.short) } ?? RunCurve.Preference.controlTokens
                ).lines
            } ?? []
        lines += behavior.map { BehaviorText(behavior: $0).lines } ?? []
        lines += metrics
        return lines
    }

    // MARK: Verdict and structure

    private var verdict: [String] {
        let word = report.isSame ? Style.green("SAME") : Style.yellow("DIFFERENT")
        let names = [report.a.path, report.b.path].map { $0.cutStart(toCells: (width - 14) / 2) }
        var lines = ["\(Style.bold(word))  \(names[0]) → \(names[1])"]
        lines += story.map { ["  " + $0.title] + $0.sentences.map { "  " + $0 } } ?? []
        lines.append("  \(relation)")
        if let unmoved { lines.append("  " + unmoved) }
        lines.append("  " + agreement.map { $0.hasPrefix("different") ? Style.yellow($0) : $0 }.joined(separator: ", "))
        return lines
    }

    /// Which parts the two have in common.
    var agreement: [String] {
        [
            report.sameArchitecture ? "same architecture" : "different architecture",
            report.tokenizer.isSame ? "same tokenizer" : "different tokenizer",
            report.sameChatTemplate ? "same chat template" : "different chat template",
        ]
    }

    /// What the training between A and B did; nil if B has no steps after A.
    var story: StoryText? {
        report.story.map { StoryText(story: $0) }
    }

    /// Why the models differ although no weight moved; nil if one did.
    var unmoved: String? {
        guard !report.isSame, report.tensors.allSatisfy({ $0.status == .identical }) else { return nil }
        let parts = [
            (!report.config.isEmpty, "configuration"), (!report.generationConfig.isEmpty, "generation config"),
            (!report.tokenizer.isSame, "tokenizer"), (!report.sameChatTemplate, "chat template"),
            (!report.sameTies, "ties"), (report.optimizer != nil, "optimizer"),
            (!(report.adapters?.isSame ?? true), "adapter"),
        ].filter(\.0).map(\.1)
        return "no weight moved; different: " + parts.joined(separator: ", ")
    }

    var relation: String {
        let isSameStep = (report.a.stage, report.a.step) == (report.b.stage, report.b.step)
        let steps = isSameStep ? "" : "; " + report.steps(report.a.step, report.b.step)
        switch report.relation {
        case .sameState: return "the same state, digest \(Format.shortDigest(report.a.digest))"
        case .ancestor(let operations): return "B was made from A by \(operations.joined(separator: ", "))\(steps)"
        case .descendant(let operations): return "A was made from B by \(operations.joined(separator: ", "))\(steps)"
        case .sameRun(let operation, let start):
            return "both from one \(operation) run, which began at \(Format.shortDigest(start))\(steps)"
        case .commonAncestor(let digest): return "both derive from \(Format.shortDigest(digest))\(steps)"
        case .unrelated: return "no common ancestor on record\(steps)"
        }
    }

    private var structure: [String] {
        var lines: [String] = []
        lines += Self.differences("config", report.config)
        lines += Self.differences("generation config", report.generationConfig)
        if !report.tokenizer.isSame {
            let (sizeA, sizeB) = (report.tokenizer.sizeA, report.tokenizer.sizeB)
            if sizeA != sizeB {
                lines.append("  tokenizer: tokens \(Self.change(sizeA.map(Format.grouped), sizeB.map(Format.grouped)))")
            }
            for token in report.tokenizer.tokens.prefix(8) {
                lines.append("    \(Format.column(token.content, 20)) id \(Self.change(token.idA, token.idB))")
            }
            if report.tokenizer.tokens.count > 8 { lines.append("    … \(report.tokenizer.tokens.count - 8) more") }
            if !report.tokenizer.parts.isEmpty {
                lines.append("    also different: \(report.tokenizer.parts.joined(separator: ", "))")
            }
            lines += Self.differences("tokenizer config", report.tokenizer.config)
        }
        lines += retyped
        let restructured = report.tensors.filter { [.added, .removed, .reshaped].contains($0.status) }
        for tensor in restructured.prefix(8) {
            let sides = [(tensor.shapeA, tensor.typeA), (tensor.shapeB, tensor.typeB)].compactMap { shape, type in
                shape.map { "\($0) \(type?.rawValue ?? "")" }
            }
            lines.append(
                "  \(tensor.status.rawValue)  \(Format.column(tensor.name, 40)) " + sides.joined(separator: " → "))
        }
        if restructured.count > 8 {
            lines.append("  … \(restructured.count - 8) more tensors added, removed, or of a different shape")
        }
        return lines
    }

    private static func differences(_ title: String, _ differences: [KeyDifference]) -> [String] {
        var lines = differences.prefix(6).map { difference in
            let (a, b) = (difference.a.map(shortened), difference.b.map(shortened))
            return "  \(title): \(difference.path) \(change(a, b))"
        }
        if differences.count > 6 { lines.append("  \(title): … \(differences.count - 6) more") }
        return lines
    }

    private static func shortened(_ json: JSON) -> String {
        Format.column(json.serialized(), 20).trimmingCharacters(in: .whitespaces)
    }

    /// The different values of A and B; a value that only one of them has is marked.
    private static func change(_ a: (some CustomStringConvertible)?, _ b: (some CustomStringConvertible)?) -> String {
        switch (a, b) {
        case (let a?, let b?): "\(a) → \(b)"
        case (let a?, nil): "\(a) (removed)"
        case (nil, let b?): "\(b) (added)"
        case (nil, nil): "–"
        }
    }

    // MARK: Weights

    private var weights: [String] {
        let total = report.total
        let changed = report.tensors.filter { $0.status != .identical }.count
        var lines = ["", Style.bold("Weights")]
        lines.append(
            "  \(changed) of \(Format.counted(report.tensors.count, "tensor")) "
                + (total.largestDifference > 0
                    ? "moved; " : "\(changed == 1 ? "differs" : "differ") in shape or type; ")
                + "\(Format.percent(total.identicalFraction, decimals: 1)) of the elements are bit-identical")
        guard changed > 0, total.largestDifference > 0 else { return lines }
        lines.append(
            "  ‖Δ‖/‖A‖ \(Format.value(total.relativeChange)), cosine \(Self.cosine(total.cosine)), "
                + "sign flips \(Format.grouped(total.signFlipCount))" + Self.nonFinite(total))
        if let most = report.changed.filter({ $0.statistics != nil }).max(by: {
            ($0.statistics?.largestDifference ?? 0) < ($1.statistics?.largestDifference ?? 0)
        }), let statistics = most.statistics {
            lines.append(
                "  largest |Δ| \(Format.value(Double(statistics.largestDifference))) at "
                    + "\(most.name)\(most.largestIndex)")
        }
        let partly = report.tensors.compactMap(\.statistics).filter { $0.unreadCount > 0 }
        if !partly.isEmpty {
            let share = Double(partly.reduce(0) { $0 + $1.unreadCount }) / Double(total.elementCount)
            lines.append(
                "  \(Format.percent(share, decimals: 1)) lie in identical chunks of "
                    + "\(Format.counted(partly.count, "changed tensor"));")
            lines.append("  norms and cosines leave these out, as they leave out identical tensors")
        }
        if let bytes = report.deltaByteCount {
            lines.append("  a delta with only the changed elements would take about \(Format.bytes(bytes))")
        }
        lines += heat
        lines += moved
        return lines
    }

    /// One line per role: the change by layer as a strip, then the lowest and the highest change.
    private var heat: [String] {
        let cells = report.cells.filter { $0.layer != nil }
        let layerCount = (cells.compactMap(\.layer).max() ?? -1) + 1
        guard layerCount > 1 else { return [] }
        let highest = cells.map(\.statistics.relativeChange).filter(\.isFinite).max() ?? 0
        guard highest > 0 else { return [] }
        var lines = ["", "  \(Style.faint("‖Δ‖/‖A‖ by role, layer 0 to \(layerCount - 1) from left to right"))"]
        for role in TensorRole.allCases {
            let row = cells.filter { $0.role == role }
            guard !row.isEmpty else { continue }
            var values = [Double](repeating: .nan, count: layerCount)
            for cell in row { values[cell.layer ?? 0] = cell.statistics.relativeChange }
            let strip = TextPlot.sparkline(values, width: min(48, width - 28), range: 0...highest)
            let finite = values.filter(\.isFinite)
            lines.append(
                "  \(Format.column(role.rawValue, 6)) \(strip)  \(Format.value(finite.min() ?? .nan)) to "
                    + Format.value(finite.max() ?? .nan))
        }
        return lines
    }

    private var moved: [String] {
        let tensors = report.changed.filter { $0.statistics != nil }.prefix(10)
        let nameWidth = min(42, width - 36)
        var lines = [
            "",
            "  "
                + Style.faint(
                    Format.column("moved most", nameWidth) + Format.column("‖Δ‖/‖A‖", 10, alignRight: true)
                        + Format.column("cosine", 12, alignRight: true) + Format.column("equal", 10, alignRight: true)),
        ]
        for tensor in tensors {
            guard let statistics = tensor.statistics else { continue }
            let name =
                tensor.name.replacing("model.", with: "").replacing(".weight", with: "")
                + (tensor.status == .resized ? " (common rows)" : "")
            lines.append(
                "  " + Format.column(name, nameWidth)
                    + Format.column(Format.value(statistics.relativeChange), 10, alignRight: true)
                    + Format.column(Self.cosine(statistics.cosine), 12, alignRight: true)
                    + Format.column(Format.percent(statistics.identicalFraction, decimals: 1), 10, alignRight: true))
        }
        return lines
    }

    static func cosine(_ value: Double) -> String { String(format: "%.6f", value) }

    private static func nonFinite(_ statistics: TensorDifference) -> String {
        guard statistics.nonFiniteA + statistics.nonFiniteB > 0 else { return ", no NaN or Inf" }
        return Style.red(", NaN or Inf \(statistics.nonFiniteA) → \(statistics.nonFiniteB)")
    }

    // MARK: Tokens, optimizer, metrics

    private var controlTokens: [String] {
        guard !report.controlTokens.isEmpty else { return [] }
        var lines = ["", Style.bold("Control tokens")]
        for token in report.controlTokens {
            let id = token.idA == token.idB ? token.idA.map(String.init) ?? "–" : Self.change(token.idA, token.idB)
            lines.append(
                "  \(Format.column(token.name, 9)) id \(Format.column(id, 16)) "
                    + [("row", token.embedding), ("head", token.head)].compactMap { name, row in
                        row.flatMap(Self.row).map { "\(name) \($0)" }
                    }.joined(separator: "; "))
            if let neighbors = token.embedding?.neighbors, !neighbors.isEmpty {
                let texts = neighbors.prefix(4).map {
                    "\($0.text.debugDescription) \(String(format: "%.2f", $0.cosine))"
                }
                lines.append(Style.faint("            near " + texts.joined(separator: ", ")))
            }
        }
        if report.movedRows.count > 0 {
            let rows = report.movedRows.prefix(8).map {
                "\($0.text.debugDescription) \(Format.value(Double($0.change)))"
            }
            lines += wrapped("  rows that moved most: ", rows)
        }
        return lines
    }

    /// The title and the items, wrapped into lines that start below the first item.
    private func wrapped(_ title: String, _ items: [String]) -> [String] {
        var lines: [String] = []
        var line = title
        for (index, item) in items.enumerated() {
            let text = index + 1 < items.count ? item + ", " : item
            if line.cells + text.cells > width, line.cells > title.cells {
                lines.append(line)
                line = String(repeating: " ", count: title.count)
            }
            line += text
        }
        return lines + [line]
    }

    /// Norms and change of a row; nil if neither side was read.
    private static func row(_ row: ControlTokenComparison.Row) -> String? {
        if row.relativeChange == 0 { return "did not move" }
        let norms = [row.normA, row.normB].compactMap { $0.map { Format.value(Double($0)) } }
        guard !norms.isEmpty else { return nil }
        let moved = row.relativeChange.map { ", moved \(Format.percent($0, decimals: 1))" } ?? ""
        return "norm \(norms.joined(separator: " → "))\(moved)"
    }

    private var optimizer: [String] {
        guard let optimizer = report.optimizer else { return [] }
        var lines = ["", Style.bold("Optimizer")]
        switch (optimizer.a, optimizer.b) {
        case (let a?, let b?): lines.append("  " + report.steps(a.step, b.step))
        case (let a?, nil): lines.append("  only in A, at step \(a.step)")
        case (nil, let b?): lines.append("  only in B, at step \(b.step)")
        case (nil, nil): return []
        }
        for (name, moments) in [("first moments", optimizer.firstMoments), ("second moments", optimizer.secondMoments)]
        {
            guard let moments else { continue }
            lines.append(
                "  \(name): norm \(Format.value(moments.normA)) → \(Format.value(moments.normB)), "
                    + "cosine \(Self.cosine(moments.cosine))")
        }
        return lines
    }

    private var metrics: [String] {
        ["rl", "sft"].flatMap { run -> [String] in
            let metrics = report.metrics.filter { $0.run == run }
            guard let steps = metrics.first?.steps, let first = steps.first, let last = steps.last else { return [] }
            return ["", Style.bold("\(run) run between A and B, steps \(first) to \(last)")]
                + MetricText.lines(metrics.map { ($0.name, $0.values) }, width: width)
        }
    }
}
