import CheckpointIO
import OrderedJSON

/// A table stored in a checkpoint: the metrics of a phase, or mode preference.
struct ColumnTable {
    private var columns: [(name: String, values: [JSON])] = []

    /// Reads the table that a path names; nil if the path does not name a table.
    ///
    /// - Parameters:
    ///   - path: `history/PHASE` for all metrics by step, `history/PHASE/METRIC` for one of them, or `probe` for the
    ///     last snapshot of the newest table of mode preference; a leading slash is allowed.
    ///   - file: the checkpoint.
    /// - Throws: `InspectError.absent` if the file does not have that table.
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

    /// The heading and one line per row, with fields separated by tabs and numbers in full precision.
    var lines: [String] {
        let rowCount = columns.first?.values.count ?? 0
        return [columns.map { $0.name.onOneLine() }.joined(separator: "\t")]
            + (0..<rowCount).map { row in columns.map { Self.field($0.values[row]) }.joined(separator: "\t") }
    }

    /// An object with one array per column; a value that was not recorded is null.
    var json: JSON { .object(JSONObject(columns.map { ($0.name, .array($0.values)) })) }

    private static func field(_ value: JSON) -> String {
        value.string.map { $0.onOneLine(limit: 4000) } ?? (value.isNull ? "nan" : value.serialized())
    }
}
