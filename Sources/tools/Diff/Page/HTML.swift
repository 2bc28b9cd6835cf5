import OrderedJSON

/// Text, data and tables for an HTML page.
enum HTML {
    /// The text with the characters of markup escaped, and those that `onLines` escapes.
    static func escape(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.onLines().unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A script element with JSON, in which "<" is escaped so that no value can close the element.
    static func data(_ json: JSON) -> String {
        "<script type=\"application/json\">\(json.onLines.serialized().replacing("<", with: "\\u003c"))</script>"
    }

    /// A table whose first column names the row.
    ///
    /// Columns of text are aligned left, columns of numbers right.
    static func table(_ headings: [String], _ rows: [[String]], caption: String? = nil) -> String {
        let isText = headings.indices.map { column in
            column == 0 || !rows.allSatisfy { column >= $0.count || isNumber($0[column]) }
        }
        func text(_ column: Int) -> String { isText[min(column, isText.count - 1)] ? " class=\"text\"" : "" }
        var result = "<div class=\"wide\" tabindex=\"0\"><table>"
        if let caption { result += "<caption>\(escape(caption))</caption>" }
        result += "<thead><tr>"
        for (column, heading) in headings.enumerated() {
            result += "<th scope=\"col\"\(text(column))>\(escape(heading))</th>"
        }
        result += "</tr></thead><tbody>"
        for row in rows {
            result += "<tr>"
            for (column, cell) in row.enumerated() {
                let name = column == 0 ? "th" : "td"
                result +=
                    "<\(name)\(column == 0 ? " scope=\"row\"" : "")\(text(column))>\(escape(cell))</\(name)>"
            }
            result += "</tr>"
        }
        return result + "</tbody></table></div>"
    }

    /// Whether a cell is empty, a dash, or begins like a number.
    private static func isNumber(_ cell: String) -> Bool {
        guard let first = cell.first else { return true }
        return first.isNumber || (["-", "–", "∞"].contains(first) && !cell.contains { $0.isLetter })
    }
}

/// A coordinate in a drawing, with at most two decimals.
func svg(_ value: Double) -> String {
    let scaled = (value * 100).rounded() / 100
    return scaled == scaled.rounded() ? String(Int(saturating: scaled)) : "\(scaled)"
}
