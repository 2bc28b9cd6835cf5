import Foundation
import Surgery

/// Mode preference of two states on a page.
enum PreferencePage {
    static func html(_ change: ModePreferenceChange) -> String {
        let histogram = change.histogram()
        var html =
            "<p>P(&lt;think&gt;) \(Format.number(change.meanThinkA)) → \(Format.number(change.meanThinkB)), "
            + "P(&lt;short&gt;) \(Format.number(change.meanShortA)) → \(Format.number(change.meanShortB)), over "
            + "\(change.prompts.count) probe prompts; \(change.changedSides.count) changed sides. Entropy of the choice "
            + "\(Format.number(change.meanEntropyA)) → \(Format.number(change.meanEntropyB)) nats.</p>"
        html += "<div class=\"grid-of-charts\">"
        html +=
            Histogram(
                title: "Prompts by P(<think>)", labels: ["A, step \(change.stepA)", "B, step \(change.stepB)"],
                counts: [histogram.a, histogram.b]
            ).html
        html += "</div>"
        html += HTML.table(
            ["level", "prompts", "P(<think>) in A", "in B"],
            change.levels.map {
                [$0.name, String($0.promptCount), Format.number($0.thinkA), Format.number($0.thinkB)]
            })
        return html
            + promptTable(
                change.prompts.map { ($0.text, $0.level, $0.thinkA, $0.thinkB, $0.changedSides) }, from: "A", to: "B")
    }

    /// Probe prompts by how far they moved; the page's script sorts by any column.
    static func promptTable(
        _ prompts: [(text: String, level: String, before: Double, after: Double, changed: Bool)], from: String,
        to: String
    ) -> String {
        let sorted = prompts.sorted { abs($0.after - $0.before) > abs($1.after - $1.before) }
        func cell(_ value: Double) -> String {
            "<td data-value=\"\(value.isFinite ? "\(value)" : "-1")\">\(String(format: "%.3f", value))</td>"
        }
        let rows = sorted.map { prompt in
            "<tr><th scope=\"row\" class=\"text\">\(HTML.escape(prompt.text))</th><td>\(HTML.escape(prompt.level))</td>"
                + cell(prompt.before) + cell(prompt.after) + cell(prompt.after - prompt.before)
                + "<td>\(prompt.changed ? "yes" : "")</td></tr>"
        }
        return
            "<div class=\"wide\" tabindex=\"0\"><table class=\"sortable\"><caption>Probe prompts, the one that moved furthest first</caption>"
            + "<thead><tr><th scope=\"col\" class=\"text\">prompt</th><th scope=\"col\">level</th>"
            + "<th scope=\"col\">P(&lt;think&gt;) \(HTML.escape(from))</th><th scope=\"col\">\(HTML.escape(to))</th>"
            + "<th scope=\"col\">change</th><th scope=\"col\">other side</th></tr></thead><tbody>\(rows.joined())</tbody>"
            + "</table></div>"
    }
}
