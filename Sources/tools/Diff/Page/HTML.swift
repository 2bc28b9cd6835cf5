import OrderedJSON

/// Text for a page, with what HTML takes for markup escaped.
enum HTML {
    static func escape(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
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

    /// JSON inside a script element: nothing in it can close the element.
    static func data(_ json: JSON) -> String {
        "<script type=\"application/json\">\(json.serialized().replacing("<", with: "\\u003c"))</script>"
    }

    /// A table; the first column names the row.
    static func table(_ headings: [String], _ rows: [[String]], caption: String? = nil) -> String {
        var result = "<div class=\"wide\"><table>"
        if let caption { result += "<caption>\(escape(caption))</caption>" }
        result +=
            "<thead><tr>" + headings.map { "<th scope=\"col\">\(escape($0))</th>" }.joined() + "</tr></thead><tbody>"
        for row in rows {
            result += "<tr>"
            for (index, cell) in row.enumerated() {
                result += index == 0 ? "<th scope=\"row\">\(escape(cell))</th>" : "<td>\(escape(cell))</td>"
            }
            result += "</tr>"
        }
        return result + "</tbody></table></div>"
    }
}

/// A coordinate in a drawing: two decimals are finer than any screen.
func svg(_ value: Double) -> String {
    let scaled = (value * 100).rounded() / 100
    return scaled == scaled.rounded() ? String(Int(scaled)) : "\(scaled)"
}
