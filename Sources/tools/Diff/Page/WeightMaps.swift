import Surgery

/// Heat maps of how far weights moved.
enum WeightMaps {
    /// The change between two states, by role and layer.
    static func byLayerAndRole(_ report: ComparisonReport) -> String {
        let cells = report.cells.filter { $0.layer != nil }
        let roles = TensorRole.allCases.filter { role in cells.contains { $0.role == role } }
        let layers = 0..<(cells.compactMap(\.layer).max() ?? -1) + 1
        let table = roles.map { role in
            layers.map { layer in cells.first { $0.layer == layer && $0.role == role }?.statistics }
        }
        let most = cells.max { $0.statistics.relativeChange < $1.statistics.relativeChange }
        return HeatMap(
            title: "‖Δ‖/‖A‖ by role and layer", rows: roles.map(\.rawValue), columns: layers.map(String.init),
            values: table.map { $0.map { $0?.relativeChange } },
            text: { row, column in
                "layer \(column) \(roles[row].rawValue): "
                    + "moved \(Format.value(table[row][column]?.relativeChange ?? .nan)), "
                    + "\(Format.percent(table[row][column]?.identicalFraction ?? .nan, decimals: 1)) bit-identical"
            },
            summary: "Change by layer and role. Largest: layer \(most?.layer ?? 0) \(most?.role.rawValue ?? ""), "
                + "\(Format.value(most?.statistics.relativeChange ?? .nan)) of its norm"
        ).html
    }

    /// The change of each layer between the saved states of a run.
    static func byLayerAndTime(_ trajectory: WeightTrajectory) -> String {
        let rows = trajectory.layers.map { $0.map { "layer \($0)" } ?? "embeddings, norm, head" }
        let values = trajectory.layers.map { trajectory.changes(ofLayer: $0) }
        let highest = values.indices.max { (values[$0].max() ?? 0) < (values[$1].max() ?? 0) } ?? 0
        let when = values.isEmpty ? 0 : values[highest].indices.max { values[highest][$0] < values[highest][$1] } ?? 0
        guard !values.isEmpty else { return "" }
        return HeatMap(
            title: "‖Δ‖/‖A‖ of each layer from the previous saved state to the step above", rows: rows,
            columns: trajectory.intervals.map { String($0.to) }, values: values.map { $0.map { $0 } },
            text: { row, column in
                "\(rows[row]), step \(trajectory.intervals[column].from) to \(trajectory.intervals[column].to): moved "
                    + Format.value(values[row][column])
            },
            summary: "Change by layer and saved state. Largest: \(rows[highest]), from step "
                + "\(trajectory.intervals[when].from) to \(trajectory.intervals[when].to), "
                + "\(Format.value(values[highest][when])) of its norm"
        ).html
    }
}
