import Foundation
import OrderedJSON

/// Curves over steps as one figure; the script of the page shows values under the pointer.
struct LineChart {
    struct Series {
        let name: String
        let x: [Int]
        let y: [Double]
        /// The index of a colour of the page, from 0.
        let color: Int
        var isDashed = false
    }

    let title: String
    let series: [Series]
    var range: ClosedRange<Double>?

    private static let width = 440.0
    private static let height = 230.0
    private static let left = 52.0
    private static let right = 430.0
    private static let top = 10.0
    private static let bottom = 204.0

    var html: String {
        let drawn = series.filter { $0.y.contains(where: \.isFinite) }
        guard !drawn.isEmpty else { return "" }
        let steps = Array(Set(drawn.flatMap(\.x))).sorted()
        let horizontal = ChartScale(steps.map(Double.init), from: Self.left, to: Self.right)
        let vertical = ChartScale(drawn.flatMap(\.y), from: Self.bottom, to: Self.top, range: range)
        var drawing = ""
        for tick in vertical.ticks(5) {
            let y = svg(vertical.position(tick))
            drawing +=
                "<line class=\"grid\" x1=\"\(svg(Self.left))\" x2=\"\(svg(Self.right))\" y1=\"\(y)\" y2=\"\(y)\"/>"
            drawing +=
                "<text class=\"tick\" x=\"\(svg(Self.left - 6))\" y=\"\(y)\" dy=\"0.32em\" text-anchor=\"end\">"
                + "\(HTML.escape(Self.label(tick)))</text>"
        }
        for tick in horizontal.ticks(5) where tick == tick.rounded() {
            drawing +=
                "<text class=\"tick\" x=\"\(svg(horizontal.position(tick)))\" y=\"222\" text-anchor=\"middle\">"
                + "\(Int(saturating: tick))</text>"
        }
        drawing += "<line class=\"cursor\" y1=\"\(svg(Self.top))\" y2=\"\(svg(Self.bottom))\" x1=\"0\" x2=\"0\"/>"
        for line in drawn { drawing += Self.path(line, horizontal, vertical) }
        return """
            <figure class="chart" data-chart="line"><figcaption>\(HTML.escape(title))</figcaption>\
            <svg viewBox="0 0 \(svg(Self.width)) \(svg(Self.height))" role="img" tabindex="0" \
            aria-label="\(HTML.escape(summary(drawn)))">\(drawing)</svg>\
            \(Self.legend(drawn))\(HTML.data(data(drawn, steps, horizontal)))</figure>
            """
    }

    /// One path per sequence of finite values; a single value is drawn as a dot.
    private static func path(_ line: Series, _ horizontal: ChartScale, _ vertical: ChartScale) -> String {
        var path = ""
        var dots = ""
        var isOpen = false
        let points = Array(zip(line.x, line.y))
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
            if isAlone { dots += "<circle class=\"dot c\(line.color)\" cx=\"\(x)\" cy=\"\(y)\" r=\"3\"/>" }
            isOpen = true
        }
        return "<path class=\"line c\(line.color)\(line.isDashed ? " dashed" : "")\" d=\"\(path)\"/>\(dots)"
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
            let first = finite.first.map { "\(Format.number($0.1)) at step \($0.0)" } ?? "nothing"
            let last = finite.last.map { "\(Format.number($0.1)) at step \($0.0)" } ?? "nothing"
            return "\(line.name) goes from \(first) to \(last)"
        }
        return "\(title): \(parts.joined(separator: "; "))"
    }

    private func data(_ series: [Series], _ steps: [Int], _ scale: ChartScale) -> JSON {
        [
            "x": .array(steps.map { .integer($0) }),
            "at": .array(steps.map { .double((scale.position(Double($0)) * 100).rounded() / 100) }),
            "series": .array(
                series.map { line in
                    let values = Dictionary(zip(line.x, line.y), uniquingKeysWith: { _, last in last })
                    return [
                        "name": .string(line.name),
                        "values": .array(
                            steps.map { step in values[step].map { .string(Format.number($0)) } ?? .null }),
                    ]
                }),
        ]
    }

    private static func label(_ value: Double) -> String {
        value == 0 ? "0" : abs(value) >= 1e-3 && abs(value) < 1e6 ? String(format: "%g", value) : Format.number(value)
    }
}
