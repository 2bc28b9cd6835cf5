import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TrainLoop

/// A comparison of two checkpoints on one screen of 80 columns, most important first.
struct ComparisonText {
    let report: ComparisonReport
    /// What both models said when they were asked; nil without --probe.
    var behavior: BehaviorComparison?

    var lines: [String] {
        var lines = verdict
        lines += structure
        if !report.isSame {
            lines += weights
            lines += controlTokens
            lines += optimizer
        }
        lines +=
            report.modePreference.map {
                ModePreferenceText(change: $0, isMeasured: behavior?.preferenceB != nil).lines
            } ?? []
        lines += behavior.map { BehaviorText(behavior: $0).lines } ?? []
        lines += metrics
        return lines
    }

    // MARK: What they are

    private var verdict: [String] {
        let word = report.isSame ? Style.green("SAME") : Style.yellow("DIFFERENT")
        var lines = ["\(Style.bold(word))  \(Self.fileName(report.a.path)) → \(Self.fileName(report.b.path))"]
        lines.append("  \(relation)")
        lines.append("  " + agreement.map { $0.hasPrefix("another") ? Style.yellow($0) : $0 }.joined(separator: ", "))
        return lines
    }

    /// What the two share and what not.
    var agreement: [String] {
        [
            report.sameArchitecture ? "same architecture" : "another architecture",
            report.tokenizer.isSame ? "same tokenizer" : "another tokenizer",
            report.sameChatTemplate ? "same chat template" : "another chat template",
        ]
    }

    var relation: String {
        let steps = report.a.step != report.b.step ? "; step \(report.a.step) → \(report.b.step)" : ""
        switch report.relation {
        case .sameState: return "the same state, digest \(Format.shortDigest(report.a.digest))"
        case .ancestor(let operations): return "B was made from A by \(operations.joined(separator: ", "))\(steps)"
        case .descendant(let operations): return "A was made from B by \(operations.joined(separator: ", "))\(steps)"
        case .sameRun(let operation, let start):
            return "both of one \(operation) run, which began at \(Format.shortDigest(start))\(steps)"
        case .commonAncestor(let digest): return "both go back to \(Format.shortDigest(digest))\(steps)"
        case .unrelated: return "no common ancestor on record\(steps)"
        }
    }

    private var structure: [String] {
        var lines: [String] = []
        lines += Self.differences("config", report.config)
        lines += Self.differences("generation config", report.generationConfig)
        if !report.tokenizer.isSame {
            let sizes = [report.tokenizer.sizeA, report.tokenizer.sizeB].map { $0.map(Format.grouped) ?? "none" }
            if sizes[0] != sizes[1] { lines.append("  tokenizer: \(sizes[0]) → \(sizes[1]) tokens") }
            for token in report.tokenizer.tokens.prefix(8) {
                let ids = [token.idA, token.idB].map { $0.map(String.init) ?? "none" }
                lines.append("    \(Format.column(token.content, 20)) id \(ids[0]) → \(ids[1])")
            }
            if report.tokenizer.tokens.count > 8 { lines.append("    … \(report.tokenizer.tokens.count - 8) more") }
            if !report.tokenizer.parts.isEmpty {
                lines.append("    also differ: \(report.tokenizer.parts.joined(separator: ", "))")
            }
            lines += Self.differences("tokenizer config", report.tokenizer.config)
        }
        let ungainly = report.tensors.filter { [.added, .removed, .reshaped, .retyped].contains($0.status) }
        for tensor in ungainly.prefix(8) {
            let shapes = [tensor.shapeA, tensor.shapeB].map { $0.map { "\($0)" } ?? "none" }
            let types = [tensor.typeA, tensor.typeB].map { $0?.rawValue ?? "" }
            lines.append(
                "  \(tensor.status.rawValue)  \(Format.column(tensor.name, 40)) \(shapes[0]) \(types[0]) → \(shapes[1]) \(types[1])"
            )
        }
        if ungainly.count > 8 {
            lines.append("  … \(ungainly.count - 8) more tensors added, removed or of another type")
        }
        return lines
    }

    private static func differences(_ title: String, _ differences: [KeyDifference]) -> [String] {
        var lines = differences.prefix(6).map { difference in
            let a = Format.column(difference.a?.serialized() ?? "none", 20).trimmingCharacters(in: .whitespaces)
            let b = Format.column(difference.b?.serialized() ?? "none", 20).trimmingCharacters(in: .whitespaces)
            return "  \(title): \(difference.path) \(a) → \(b)"
        }
        if differences.count > 6 { lines.append("  \(title): \(differences.count - 6) more differences") }
        return lines
    }

    // MARK: Weights

    private var weights: [String] {
        let total = report.total
        let changed = report.tensors.filter { $0.status != .identical }.count
        var lines = ["", Style.bold("Weights")]
        lines.append(
            "  \(changed) of \(report.tensors.count) tensors \(total.largestDifference > 0 ? "moved" : "differ in shape or type"); "
                + "\(Format.percent(total.identicalFraction, decimals: 1)) of the elements are bit-identical")
        guard changed > 0, total.largestDifference > 0 else { return lines }
        lines.append(
            "  ‖Δ‖/‖A‖ \(Format.number(total.relativeChange)), cosine \(Self.cosine(total.cosine)), "
                + "sign flips \(Format.grouped(total.signFlipCount))" + Self.nonFinite(total))
        if let most = report.changed.filter({ $0.statistics != nil }).max(by: {
            ($0.statistics?.largestDifference ?? 0) < ($1.statistics?.largestDifference ?? 0)
        }), let statistics = most.statistics {
            lines.append(
                "  largest |Δ| \(Format.number(Double(statistics.largestDifference))) at "
                    + "\(most.name)\(most.largestIndex)")
        }
        let partly = report.tensors.compactMap(\.statistics).filter { $0.unreadCount > 0 }
        if !partly.isEmpty {
            let share = Double(partly.reduce(0) { $0 + $1.unreadCount }) / Double(total.elementCount)
            lines.append(
                "  \(Format.percent(share, decimals: 1)) lie in chunks of \(partly.count) changed tensors that both files store alike;"
            )
            lines.append("  norms and cosines leave them out, as they do identical tensors")
        }
        if let bytes = report.deltaByteCount {
            lines.append("  a delta with only the changed elements would take about \(Format.bytes(bytes))")
        }
        lines += heat
        lines += moved
        return lines
    }

    /// One line a role: change by layer as a strip, lowest and highest beside it.
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
            let strip = TextPlot.sparkline(values, width: 48, range: 0...highest)
            let finite = values.filter(\.isFinite)
            lines.append(
                "  \(Format.column(role.rawValue, 6)) \(strip)  \(Format.number(finite.min() ?? .nan)) to "
                    + Format.number(finite.max() ?? .nan))
        }
        return lines
    }

    private var moved: [String] {
        let tensors = report.changed.filter { $0.statistics != nil }.prefix(10)
        var lines = [
            "",
            "  "
                + Style.faint(
                    Format.column("moved most", 42) + Format.column("‖Δ‖/‖A‖", 10, alignRight: true)
                        + Format.column("cosine", 12, alignRight: true) + Format.column("equal", 10, alignRight: true)),
        ]
        for tensor in tensors {
            guard let statistics = tensor.statistics else { continue }
            let name =
                tensor.name.replacing("model.", with: "").replacing(".weight", with: "")
                + (tensor.status == .resized ? " (rows both have)" : "")
            lines.append(
                "  " + Format.column(name, 42)
                    + Format.column(Format.number(statistics.relativeChange), 10, alignRight: true)
                    + Format.column(Self.cosine(statistics.cosine), 12, alignRight: true)
                    + Format.column(Format.percent(statistics.identicalFraction, decimals: 1), 10, alignRight: true))
        }
        return lines
    }

    private static func cosine(_ value: Double) -> String { String(format: "%.6f", value) }

    private static func nonFinite(_ statistics: TensorDifference) -> String {
        guard statistics.nonFiniteA + statistics.nonFiniteB > 0 else { return ", no NaN or Inf" }
        return Style.red(", NaN or Inf \(statistics.nonFiniteA) → \(statistics.nonFiniteB)")
    }

    // MARK: Tokens, optimizer, metrics

    private var controlTokens: [String] {
        guard !report.controlTokens.isEmpty else { return [] }
        var lines = ["", Style.bold("Control tokens")]
        for token in report.controlTokens {
            let ids = [token.idA, token.idB].map { $0.map(String.init) ?? "none" }
            let id = ids[0] == ids[1] ? ids[0] : "\(ids[0]) → \(ids[1])"
            lines.append(
                "  \(Format.column(token.name, 9)) id \(Format.column(id, 14)) "
                    + [("row", token.embedding), ("head", token.head)].compactMap { name, row in
                        row.map { "\(name) \(Self.row($0))" }
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
                "\($0.text.debugDescription) \(Format.number(Double($0.change)))"
            }
            lines += Self.wrapped("  rows that moved most: ", rows)
        }
        return lines
    }

    /// Items behind a title, broken into lines of 78 columns that start under the first item.
    private static func wrapped(_ title: String, _ items: [String]) -> [String] {
        var lines: [String] = []
        var line = title
        for (index, item) in items.enumerated() {
            let text = index + 1 < items.count ? item + ", " : item
            if line.count + text.count > 79, line.count > title.count {
                lines.append(line)
                line = String(repeating: " ", count: title.count)
            }
            line += text
        }
        return lines + [line]
    }

    private static func row(_ row: ControlTokenComparison.Row) -> String {
        if row.relativeChange == 0 { return "did not move" }
        let norms = [row.normA, row.normB].map { $0.map { Format.number(Double($0)) } ?? "none" }
        guard let change = row.relativeChange else { return "norm \(norms[0]) → \(norms[1])" }
        return "norm \(norms[0]) → \(norms[1]), moved \(Format.percent(change, decimals: 1))"
    }

    private var optimizer: [String] {
        guard let optimizer = report.optimizer else { return [] }
        var lines = ["", Style.bold("Optimizer")]
        let steps = [optimizer.a, optimizer.b].map { $0.map { "step \($0.step)" } ?? "none" }
        lines.append("  \(steps[0]) → \(steps[1])")
        for (name, moments) in [("first moments", optimizer.firstMoments), ("second moments", optimizer.secondMoments)]
        {
            guard let moments else { continue }
            lines.append(
                "  \(name): norm \(Format.number(moments.normA)) → \(Format.number(moments.normB)), "
                    + "cosine \(Self.cosine(moments.cosine))")
        }
        return lines
    }

    private var metrics: [String] {
        guard let count = report.metrics.first?.steps.count, count > 0 else { return [] }
        let steps = report.metrics[0].steps
        let title = "Run between them, steps \(steps.first ?? 0) to \(steps.last ?? 0)"
        return ["", Style.bold(title)] + MetricText.lines(report.metrics.map { ($0.name, $0.values) })
    }

    static func fileName(_ path: String) -> String {
        path.count <= 34 ? path : "…" + path.suffix(33)
    }
}
