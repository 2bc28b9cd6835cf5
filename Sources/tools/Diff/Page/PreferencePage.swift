import Foundation
import Surgery

/// The mode preference of two states on an HTML page.
enum PreferencePage {
    /// Means, histograms, levels and prompts of A and B, whose snapshots are called `labels`.
    static func html(
        _ change: ModePreferenceChange, labels: [String],
        modes: (think: String, short: String) = RunCurve.Preference.controlTokens
    ) -> String {
        let histogram = change.histogram()
        var html =
            "<p>P(\(HTML.escape(modes.think))) \(Format.value(change.meanThinkA)) → \(Format.value(change.meanThinkB)), "
            + "P(\(HTML.escape(modes.short))) \(Format.value(change.meanShortA)) → \(Format.value(change.meanShortB)), over "
            + "\(Format.counted(change.prompts.count, "probe prompt")); \(change.changedSides.count) changed sides. "
            + "Entropy of the choice "
            + "\(Format.value(change.meanEntropyA)) → \(Format.value(change.meanEntropyB)) nats.</p>"
        html += "<div class=\"grid-of-charts\">"
        html +=
            Histogram(
                title: "Prompts by P(\(modes.think))", labels: zip(["A", "B"], labels).map { "\($0), \($1)" },
                counts: [histogram.a, histogram.b]
            ).html
        html += "</div>"
        html += HTML.table(
            "Mode preference by level", ["level", "prompts", "P(\(modes.think)) in A", "in B"],
            change.levels.map {
                [$0.name, String($0.promptCount), Format.value($0.thinkA), Format.value($0.thinkB)]
            })
        return html
            + promptTable(
                change.prompts.map { ($0.text, $0.level, $0.thinkA, $0.thinkB, $0.changedSides) }, from: "A", to: "B",
                mode: modes.think)
    }

    /// A folded table of probe prompts, largest change first; the script of the page sorts it by any column.
    static func promptTable(
        _ prompts: [(text: String, level: String, before: Double, after: Double, changed: Bool)], from: String,
        to: String, of run: String = "", mode: String = "<think>"
    ) -> String {
        let sorted = prompts.sorted { abs($0.after - $0.before) > abs($1.after - $1.before) }
        func cell(_ value: Double) -> String {
            "<td data-value=\"\(value.isFinite ? "\(value)" : "-1")\">\(Format.value(value))</td>"
        }
        let rows = sorted.map { prompt in
            "<tr><th scope=\"row\" class=\"text\">\(HTML.escape(prompt.text))</th><td>\(HTML.escape(prompt.level))</td>"
                + cell(prompt.before) + cell(prompt.after) + cell(prompt.after - prompt.before)
                + "<td>\(prompt.changed ? "yes" : "")</td></tr>"
        }
        let name = "Probe prompts\(run.isEmpty ? "" : " of \(run)"), largest change first"
        return HTML.folded(
            "\(Format.counted(prompts.count, "probe prompt"))\(run.isEmpty ? "" : " of \(run)") with P(\(mode)) "
                + "\(from) and \(to)",
            "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"\(HTML.escape(name))\">"
                + "<table class=\"sortable\"><caption>\(HTML.escape(name))</caption>"
                + "<thead><tr><th scope=\"col\" class=\"text\">prompt</th><th scope=\"col\">level</th>"
                + "<th scope=\"col\">P(\(HTML.escape(mode))) \(HTML.escape(from))</th><th scope=\"col\">\(HTML.escape(to))</th>"
                + "<th scope=\"col\">change</th><th scope=\"col\">changed sides</th></tr></thead>"
                + "<tbody>\(rows.joined())</tbody></table></div>")
    }
}
