import Surgery

/// Layers against roles, each cell as dark as its tensors moved.
struct HeatMap {
    let report: ComparisonReport

    private static let cell = 22.0
    private static let left = 52.0
    private static let top = 24.0

    var html: String {
        let cells = report.cells.filter { $0.layer != nil }
        let highest = cells.map(\.statistics.relativeChange).filter(\.isFinite).max() ?? 0
        guard highest > 0 else { return "" }
        let roles = TensorRole.allCases.filter { role in cells.contains { $0.role == role } }
        let layers = (cells.compactMap(\.layer).max() ?? 0) + 1
        var drawing = ""
        for (row, role) in roles.enumerated() {
            let y = Self.top + (Double(row) + 0.5) * Self.cell
            drawing +=
                "<text class=\"tick\" x=\"\(svg(Self.left - 6))\" y=\"\(svg(y))\" dy=\"0.32em\" text-anchor=\"end\">"
                + "\(role.rawValue)</text>"
        }
        for layer in 0..<layers where layers <= 12 || layer % 4 == 0 {
            let x = Self.left + (Double(layer) + 0.5) * Self.cell
            drawing += "<text class=\"tick\" x=\"\(svg(x))\" y=\"16\" text-anchor=\"middle\">\(layer)</text>"
        }
        for cell in cells {
            guard let layer = cell.layer, let row = roles.firstIndex(of: cell.role) else { continue }
            let change = cell.statistics.relativeChange
            let text =
                "layer \(layer) \(cell.role.rawValue): moved \(Format.number(change)), "
                + "\(Format.percent(cell.statistics.identicalFraction, decimals: 1)) bit-identical"
            drawing +=
                "<rect class=\"cell\" x=\"\(svg(Self.left + Double(layer) * Self.cell + 1))\" "
                + "y=\"\(svg(Self.top + Double(row) * Self.cell + 1))\" width=\"\(svg(Self.cell - 2))\" "
                + "height=\"\(svg(Self.cell - 2))\" fill-opacity=\"\(svg(change.isFinite ? max(change / highest, 0.03) : 1))\">"
                + "<title>\(HTML.escape(text))</title></rect>"
        }
        let width = Self.left + Double(layers) * Self.cell + 4
        let height = Self.top + Double(roles.count) * Self.cell + 4
        let most = cells.max { $0.statistics.relativeChange < $1.statistics.relativeChange }
        let summary =
            "Change by layer and role. Most: layer \(most?.layer ?? 0) \(most?.role.rawValue ?? ""), "
            + "\(Format.number(highest)) of its norm"
        return """
            <figure class="wide"><figcaption>‖Δ‖/‖A‖ by layer (left to right) and role; darkest \
            \(HTML.escape(Format.number(highest)))</figcaption><svg class="fixed" viewBox="0 0 \(svg(width)) \(svg(height))" \
            width="\(svg(width))" height="\(svg(height))" role="img" aria-label="\(HTML.escape(summary))">\(drawing)</svg></figure>
            """
    }
}
