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

    /// A digest, of which the first digits are shown and the whole is selected and copied.
    static func digest(_ digest: String) -> String {
        let whole = escape(digest)
        return "<code class=\"digest\">\(whole)</code><button type=\"button\" class=\"copy\" data-copy=\"\(whole)\" "
            + "aria-label=\"copy digest \(escape(Format.shortDigest(digest)))\">copy</button>"
    }

    /// A paragraph of each text.
    static func paragraphs(_ texts: [String]) -> String { texts.map { "<p>\(escape($0))</p>" }.joined() }

    /// What is folded until a reader opens it.
    static func folded(_ title: String, _ content: String) -> String {
        content.isEmpty ? "" : "<details><summary>\(escape(title))</summary>\(content)</details>"
    }

    /// A table whose first column names the row.
    ///
    /// Columns of text are aligned left, columns of numbers right. A cell that is a whole SHA-256 can be copied.
    ///
    /// - Parameters:
    ///   - name: what the table shows: its caption, or only its name for screen readers.
    ///   - headings: the names of the columns.
    ///   - rows: the cells.
    ///   - showsName: whether the name is also the caption.
    ///   - isSortable: whether the headings sort it.
    ///   - isTall: whether it scrolls in an element of limited height.
    /// - Returns: the table, in an element that scrolls where it does not fit.
    static func table(
        _ name: String, _ headings: [String], _ rows: [[String]], showsName: Bool = false, isSortable: Bool = false,
        isTall: Bool = false
    ) -> String {
        let isText = headings.indices.map { column in
            column == 0 || !rows.allSatisfy { column >= $0.count || isNumber($0[column]) }
        }
        func text(_ column: Int) -> String { isText[min(column, isText.count - 1)] ? " class=\"text\"" : "" }
        var result =
            "<div class=\"wide\(isTall ? " tall" : "")\" role=\"region\" tabindex=\"0\" "
            + "aria-label=\"\(escape(name))\">"
        result += "<table\(isSortable ? " class=\"sortable\"" : "")>"
        result += "<caption\(showsName ? "" : " class=\"sr\"")>\(escape(name))</caption><thead><tr>"
        for (column, heading) in headings.enumerated() {
            result +=
                heading.isEmpty
                ? "<td></td>" : "<th scope=\"col\"\(text(column))>\(escape(heading))</th>"
        }
        result += "</tr></thead><tbody>"
        for row in rows {
            result += "<tr>"
            for (column, cell) in row.enumerated() {
                let name = column == 0 ? "th" : "td"
                let content = isDigest(cell) ? digest(cell) : escape(cell)
                result += "<\(name)\(column == 0 ? " scope=\"row\"" : "")\(text(column))>\(content)</\(name)>"
            }
            result += "</tr>"
        }
        return result + "</tbody></table></div>"
    }

    /// A field that hides the rows of a table whose names do not contain what is typed; the table must follow it.
    static func filter(_ label: String, of count: Int) -> String {
        "<div class=\"filter\"><label>\(escape(label)) <input type=\"search\" autocomplete=\"off\" spellcheck=\"false\">"
            + "</label><output>\(count) of \(count)</output></div>"
    }

    private static func isDigest(_ cell: String) -> Bool {
        cell.utf8.count == 64 && cell.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }

    /// Whether a cell is empty, a dash, or begins like a number.
    private static func isNumber(_ cell: String) -> Bool {
        guard let first = cell.first else { return true }
        return (first.isNumber && !isDigest(cell))
            || (["-", "–", "+", "∞"].contains(first) && !cell.contains { $0.isLetter })
    }
}

/// A coordinate in a drawing, with at most two decimals.
func svg(_ value: Double) -> String {
    let scaled = (value * 100).rounded() / 100
    return scaled == scaled.rounded() ? String(Int(saturating: scaled)) : "\(scaled)"
}
