import Foundation
import Surgery

/// The change of mode preference: means, by level, as histograms, and the prompts that changed sides.
struct ModePreferenceText {
    let change: ModePreferenceChange
    /// Where the numbers come from.
    let source: String
    /// The texts with which the modes begin.
    var modes = RunCurve.Preference.controlTokens
    /// The cells of a line.
    var width = Terminal.outputColumns

    var lines: [String] {
        var lines = [
            "",
            Style.bold("Mode preference") + "  \(Format.counted(change.prompts.count, "probe prompt")), \(source)",
        ]
        lines.append(
            "  P(\(modes.think)) \(Self.probability(change.meanThinkA)) → \(Self.probability(change.meanThinkB))    "
                + "P(\(modes.short)) \(Self.probability(change.meanShortA)) → \(Self.probability(change.meanShortB))    "
                + "entropy \(Self.probability(change.meanEntropyA)) → \(Self.probability(change.meanEntropyB)) nats")
        if change.levels.count > 1 {
            let bar = min(16, max(4, (width - 46) / 2))
            for level in change.levels {
                lines.append(
                    "  level \(Format.column(level.name, 10)) \(TextPlot.bar(level.thinkA, width: bar)) "
                        + "\(Self.probability(level.thinkA)) → \(TextPlot.bar(level.thinkB, width: bar)) "
                        + "\(Self.probability(level.thinkB))  \(Format.counted(level.promptCount, "prompt"))")
            }
        }
        let histogram = change.histogram()
        lines.append(
            "  P(\(modes.think)) from 0 to 1: \(TextPlot.sparkline(histogram.a.map(Double.init))) → "
                + TextPlot.sparkline(histogram.b.map(Double.init)))
        let changed = change.changedSides.sorted { abs($0.thinkB - $0.thinkA) > abs($1.thinkB - $1.thinkA) }
        lines.append(
            "  \(changed.count) of \(Format.counted(change.prompts.count, "prompt")) changed sides"
                + (changed.isEmpty ? "" : ":"))
        for prompt in changed.prefix(6) {
            lines.append(
                "    \(Self.probability(prompt.thinkA)) → \(Self.probability(prompt.thinkB))  "
                    + Format.column(prompt.text, width - 22).trimmingCharacters(in: .whitespaces))
        }
        return lines
    }

    static func probability(_ value: Double) -> String {
        // Digits for what rounds to 0 or 1.
        value > 0 && value < 0.005
            ? Format.value(value)
            : value > 0.995 && value < 1
                ? String(format: "%.4f", min(value, 0.9999)) : value.isFinite ? String(format: "%.2f", value) : "–"
    }
}
