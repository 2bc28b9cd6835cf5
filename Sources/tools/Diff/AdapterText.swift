import CheckpointIO
import Surgery

/// The adapters of two checkpoints: a line for each module, with its layers from left to right.
struct AdapterText {
    let adapters: AdapterComparison
    /// The cells of a line.
    var width = Terminal.outputColumns

    var lines: [String] {
        var lines = ["", Style.bold("Adapter")]
        switch (adapters.a, adapters.b) {
        case (let a?, let b?):
            lines.append("  " + b.settingsText + (adapters.isSame ? ", the same in both" : ""))
            if (a.rank, a.alpha) != (b.rank, b.alpha) { lines.append("  A had " + a.settingsText) }
        case (let a?, nil): lines.append("  only in A: " + a.settingsText)
        case (nil, let b?): lines.append("  only in B: " + b.settingsText)
        case (nil, nil): return []
        }
        return lines + strips
    }

    private var strips: [String] {
        let layers = (adapters.modules.compactMap(\.layer).max() ?? -1) + 1
        guard layers > 0 else { return [] }
        let highest = adapters.modules.map(\.relativeNorm).filter(\.isFinite).max() ?? 0
        var lines = [
            "  " + Style.faint("‖s·B·A‖/‖W‖ by module, layer 0 to \(layers - 1) from left to right")
        ]
        for (target, modules) in Dictionary(grouping: adapters.modules, by: \.target).sorted(by: { $0.key < $1.key }) {
            var values = [Double](repeating: .nan, count: layers)
            for module in modules { if let layer = module.layer { values[layer] = module.relativeNorm } }
            let finite = values.filter(\.isFinite)
            let strip = TextPlot.sparkline(
                values, width: min(40, width - 39), range: 0...max(highest, .leastNormalMagnitude))
            lines.append(
                "  \(Format.column(target, 12)) \(strip)  \(Format.value(finite.min() ?? .nan)) to "
                    + Format.value(finite.max() ?? .nan))
        }
        guard adapters.a != nil, adapters.b != nil, !adapters.isSame else { return lines }
        let moved = adapters.modules.map { ($0, $0.difference / $0.weightNorm) }.filter { $0.1.isFinite }
        if let most = moved.max(by: { $0.1 < $1.1 }) {
            lines.append("  moved most: \(most.0.name), ‖Δ‖/‖W‖ \(Format.value(most.1))")
        }
        return lines
    }
}
