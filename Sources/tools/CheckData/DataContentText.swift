import OrderedJSON
import TrainLoop

/// Format, fields and first rows of a data file as text.
struct DataContentText {
    let content: DataContent

    private static let shownFields = 60
    private static let shownLength = 100

    var lines: [String] {
        let table = content.table
        var lines = ["\(content.format), \(Format.counted(table.rowCount, "row"))"]
        let fields = table.fields.prefix(Self.shownFields)
        let names = fields.map { $0.path.onOneLine(limit: 60) }
        let types = fields.map { $0.types.isEmpty ? "null" : $0.types.joined(separator: " or ") }
        let widths = (names + ["field"], types + ["type"])
        let (nameWidth, typeWidth) = (widths.0.map(\.count).max() ?? 0, widths.1.map(\.count).max() ?? 0)
        let read = content.fieldsRead
        func line(_ name: String, _ type: String, _ rows: String, _ use: String) -> String {
            let line =
                "  \(Format.column(name, nameWidth))  \(Format.column(type, typeWidth))  "
                + Format.column(rows, 11, alignRight: true)
            return use.isEmpty ? line : line + "  " + use
        }
        lines.append(line("field", "type", "rows", ""))
        for (index, field) in fields.enumerated() {
            // Of a part of a column it is not known.
            let use = field.path == field.column ? read.map { $0.contains(field.column) ? "read" : "not read" } : nil
            lines.append(line(names[index], types[index], Format.grouped(field.rows), use ?? ""))
        }
        let rest = table.fields.count - fields.count + table.leftOut
        if rest > 0 { lines.append("  and \(Format.counted(rest, "field")) more (all with --json)") }
        for row in content.firstRows {
            lines.append(row.place)
            for (key, value) in row.members where !value.isNull {
                let text = value.string ?? value.serialized()
                let shown = text.replacing("\n", with: "⏎").onOneLine(limit: Self.shownLength)
                lines.append("  \(key.onOneLine(limit: 60)): \(shown)")
            }
        }
        return lines
    }
}
