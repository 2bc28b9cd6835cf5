import CheckpointIO
import OrderedJSON

/// Columns of a checkpoint that are read as a table: a phase's metrics, or mode preference.
struct ColumnTable {
    private var columns: [(name: String, values: [JSON])] = []

    /// - Parameter path: `history/PHASE` for all metrics by step, `history/PHASE/METRIC` for one, `probe` for the last
    ///   snapshot of the newest table of mode preference; with or without a leading slash.
    /// - Returns: nil where the path names no table.
    /// - Throws: `InspectError.absent` where the file lacks it.
    init?(at path: String, in file: CheckpointFile) throws {
        let parts = path.split(separator: "/").map(String.init)
        switch (parts.first, parts.count) {
        case ("history", 2...3):
            guard let history = file.metadata.history[parts[1]], parts.count == 2 || history[parts[2]] != nil else {
                throw InspectError.absent(file: file.path, path: path)
            }
            let names = parts.count == 2 ? history.names : ["step", parts[2]].filter { history[$0] != nil }
            columns = names.map { name in (name, (history[name] ?? []).map(JSON.double)) }
        case ("probe", 1):
            guard let table = file.metadata.probes.last(where: { !$0.steps.isEmpty }), let step = table.steps.last,
                let think = table.pThink.last, let short = table.pShort.last
            else { throw InspectError.absent(file: file.path, path: path) }
            columns = [
                ("step", table.prompts.map { _ in .integer(step) }), ("level", table.levels.map(JSON.string)),
                ("p_think", think.map(JSON.double)), ("p_short", short.map(JSON.double)),
                ("prompt", table.prompts.map(JSON.string)),
            ]
        default: return nil
        }
    }

    /// A heading and a line a row, fields parted by tabs; numbers in full.
    var lines: [String] {
        let rowCount = columns.first?.values.count ?? 0
        return [columns.map { $0.name.onOneLine() }.joined(separator: "\t")]
            + (0..<rowCount).map { row in columns.map { Self.field($0.values[row]) }.joined(separator: "\t") }
    }

    /// An object of arrays, one a column; null where nothing was recorded.
    var json: JSON { .object(JSONObject(columns.map { ($0.name, .array($0.values)) })) }

    private static func field(_ value: JSON) -> String {
        value.string.map { $0.onOneLine(limit: 4000) } ?? (value.isNull ? "nan" : value.serialized())
    }
}
