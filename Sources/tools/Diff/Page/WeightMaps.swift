import Surgery

/// The heat maps of weights.
enum WeightMaps {
    /// Roles against layers: how far each moved between two states.
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
                "layer \(column) \(roles[row].rawValue): moved \(Format.number(table[row][column]?.relativeChange ?? .nan)), "
                    + "\(Format.percent(table[row][column]?.identicalFraction ?? .nan, decimals: 1)) bit-identical"
            },
            summary: "Change by layer and role. Most: layer \(most?.layer ?? 0) \(most?.role.rawValue ?? ""), "
                + "\(Format.number(most?.statistics.relativeChange ?? .nan)) of its norm"
        ).html
    }

    /// Layers against the saved states of a run: which moved when.
    static func byLayerAndTime(_ course: WeightTrajectory) -> String {
        let rows = course.layers.map { $0.map { "layer \($0)" } ?? "outside" }
        let values = course.layers.map { course.changes(ofLayer: $0) }
        let highest = values.indices.max { (values[$0].max() ?? 0) < (values[$1].max() ?? 0) } ?? 0
        let when = values.isEmpty ? 0 : values[highest].indices.max { values[highest][$0] < values[highest][$1] } ?? 0
        guard !values.isEmpty else { return "" }
        return HeatMap(
            title: "‖Δ‖/‖A‖ of each layer up to the step above, from the state before", rows: rows,
            columns: course.intervals.map { String($0.to) }, values: values.map { $0.map { $0 } },
            text: { row, column in
                "\(rows[row]), step \(course.intervals[column].from) to \(course.intervals[column].to): moved "
                    + Format.number(values[row][column])
            },
            summary: "Change by layer and saved state. Most: \(rows[highest]), from step "
                + "\(course.intervals[when].from) to \(course.intervals[when].to), "
                + "\(Format.number(values[highest][when])) of its norm"
        ).html
    }
}
