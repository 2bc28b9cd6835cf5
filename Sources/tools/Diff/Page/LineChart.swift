import Foundation
import OrderedJSON
import Surgery

/// Curves over steps as one figure; the script of the page shows values under the pointer.
///
/// Long curves are drawn smoothed, with the values themselves behind.
struct LineChart {
    struct Series {
        let name: String
        let x: [Int]
        let y: [Double]
        /// The index of a colour of the page, from 0.
        let color: Int
        var isDashed = false

        /// The running mean of a long series; nil of a short one.
        var smoothed: [Double]? {
            guard y.count(where: \.isFinite) >= 20 else { return nil }
            let window = min(max(y.count / 15 | 1, 5), 101)
            return zip(y, RunCurve.smoothed(y, window: window)).map { $0.isFinite ? $1 : .nan }
        }
    }

    let title: String
    let series: [Series]
    /// What the vertical axis never crosses.
    var limits: ClosedRange<Double>?

    private static let width = 400.0
    private static let height = 226.0
    private static let right = 384.0
    private static let top = 10.0
    private static let bottom = 198.0

    var html: String {
        let drawn = series.filter { $0.y.contains(where: \.isFinite) }
        guard !drawn.isEmpty else { return "" }
        let steps = Array(Set(drawn.flatMap(\.x))).sorted()
        let vertical = ChartScale(
            drawn.flatMap(\.y), from: Self.bottom, to: Self.top, margin: 0.05, limits: limits)
        let ticks = vertical.ticks(5)
        let labels = ChartScale.labels(ticks)
        let left = Double(labels.map(\.count).max() ?? 0) * 7.5 + 14
        let horizontal = ChartScale(steps.map(Double.init), from: left, to: Self.right)
        var drawing = ""
        for (tick, label) in zip(ticks, labels) {
            let y = svg(vertical.position(tick))
            drawing += "<line class=\"grid\" x1=\"\(svg(left))\" x2=\"\(svg(Self.right))\" y1=\"\(y)\" y2=\"\(y)\"/>"
            drawing +=
                "<text class=\"tick\" x=\"\(svg(left - 6))\" y=\"\(y)\" dy=\"0.32em\" text-anchor=\"end\">"
                + "\(HTML.escape(label))</text>"
        }
        for tick in horizontal.ticks(5) where tick == tick.rounded() {
            drawing +=
                "<text class=\"tick\" x=\"\(svg(horizontal.position(tick)))\" y=\"218\" text-anchor=\"middle\">"
                + "\(Int(saturating: tick))</text>"
        }
        drawing += "<line class=\"cursor\" y1=\"\(svg(Self.top))\" y2=\"\(svg(Self.bottom))\" x1=\"0\" x2=\"0\"/>"
        // All values behind all means.
        for line in drawn where line.smoothed != nil {
            drawing += Self.path(line, line.y, " raw", horizontal, vertical)
        }
        for line in drawn { drawing += Self.path(line, line.smoothed ?? line.y, "", horizontal, vertical) }
        let note = drawn.contains { $0.smoothed != nil } ? " <small>running mean, values behind</small>" : ""
        return """
            <figure class="chart" data-chart="line"><figcaption>\(HTML.escape(title))\(note)</figcaption>\
            <svg viewBox="0 0 \(svg(Self.width)) \(svg(Self.height))" role="img" tabindex="0" \
            aria-label="\(HTML.escape(summary(drawn)))">\(drawing)</svg>\
            \(Self.legend(drawn))\(HTML.data(data(drawn, steps, horizontal)))</figure>
            """
    }

    /// One path per sequence of finite values; a single value is drawn as a dot.
    private static func path(
        _ line: Series, _ values: [Double], _ kind: String, _ horizontal: ChartScale, _ vertical: ChartScale
    ) -> String {
        var path = ""
        var dots = ""
        var isOpen = false
        let points = Array(zip(line.x, values))
        for (index, point) in points.enumerated() {
            guard point.1.isFinite else {
                isOpen = false
                continue
            }
            let x = svg(horizontal.position(Double(point.0)))
            let y = svg(vertical.position(point.1))
            path += isOpen ? "L\(x) \(y)" : "M\(x) \(y)"
            let isAlone =
                !isOpen && (index + 1 == points.count || !points[index + 1].1.isFinite)
            if isAlone { dots += "<circle class=\"dot\(kind) c\(line.color)\" cx=\"\(x)\" cy=\"\(y)\" r=\"3\"/>" }
            isOpen = true
        }
        return "<path class=\"line\(kind) c\(line.color)\(line.isDashed ? " dashed" : "")\" d=\"\(path)\"/>\(dots)"
    }

    private static func legend(_ series: [Series]) -> String {
        guard series.count > 1 else { return "" }
        let items = series.map {
            "<li><svg class=\"key\" viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path class=\"line c\($0.color)"
                + "\($0.isDashed ? " dashed" : "")\" d=\"M0 4L24 4\"/></svg>\(HTML.escape($0.name))</li>"
        }
        return "<ul class=\"legend\">\(items.joined())</ul>"
    }

    /// The description for screen readers.
    private func summary(_ series: [Series]) -> String {
        let parts = series.map { line in
            let finite = zip(line.x, line.y).filter { $0.1.isFinite }
            guard let first = finite.first, let last = finite.last else { return line.name }
            guard finite.count > 1 else { return "\(line.name) is \(Format.value(first.1)) at step \(first.0)" }
            return "\(line.name) goes from \(Format.value(first.1)) at step \(first.0) to \(Format.value(last.1)) at "
                + "step \(last.0)"
        }
        return "\(title): \(parts.joined(separator: "; "))"
    }

    private func data(_ series: [Series], _ steps: [Int], _ scale: ChartScale) -> JSON {
        [
            "x": .array(steps.map { .integer($0) }),
            "at": .array(steps.map { .double((scale.position(Double($0)) * 100).rounded() / 100) }),
            "series": .array(
                series.map { line in
                    let smoothed = line.smoothed
                    let texts = line.y.indices.map { index in
                        Format.value(line.y[index])
                            + (smoothed.map { " (mean \(Format.value($0[index])))" } ?? "")
                    }
                    let values = Dictionary(zip(line.x, texts), uniquingKeysWith: { _, last in last })
                    return [
                        "name": .string(line.name),
                        "values": .array(steps.map { step in values[step].map { .string($0) } ?? .null }),
                    ]
                }),
        ]
    }
}
