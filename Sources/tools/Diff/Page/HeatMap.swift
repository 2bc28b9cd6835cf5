import Foundation

/// A table of numbers as coloured cells; larger numbers have a stronger colour.
///
/// It is as wide as its card, and scrolls below its least width. The script of the page shows the text of the cell
/// under the pointer, and of the one that the arrow keys choose.
struct HeatMap {
    /// The caption above the table.
    let title: String
    let rows: [String]
    let columns: [String]
    /// `[rows][columns]`; nil for an empty place.
    let values: [[Double?]]
    /// The tooltip of a cell.
    let text: (_ row: Int, _ column: Int) -> String
    /// The description for screen readers.
    let summary: String

    /// The least width of a cell in pixels.
    private static let cell = 16

    var html: String {
        let highest = values.flatMap(\.self).compactMap(\.self).filter(\.isFinite).max() ?? 0
        guard highest > 0 else { return "" }
        // Labels must not touch, so some columns show none.
        let names = min(rows.map(\.count).max() ?? 0, 22)
        let labelWidth = (columns.map(\.count).max() ?? 0) * 8 + 6
        let cellOnPhone = max(Self.cell, (330 - names * 8 - 16) / max(columns.count, 1))
        let every = max(1, (labelWidth + cellOnPhone - 1) / cellOnPhone)
        let head = columns.enumerated().map { column, name in
            "<th scope=\"col\"><span\(column % every == 0 ? "" : " class=\"sr\"")>\(HTML.escape(name))</span></th>"
        }
        let body = rows.indices.map { row in
            let cells = columns.indices.map { column -> String in
                guard let value = values[row][column] else { return "<td></td>" }
                let share = value.isFinite ? max(value / highest, 0.03) : 1
                return "<td style=\"--v:\(svg(share))\" data-tip=\"\(HTML.escape(text(row, column)))\">"
                    + "<span class=\"sr\">\(HTML.escape(Format.value(value)))</span></td>"
            }
            return "<tr><th scope=\"row\">\(HTML.escape(rows[row]))</th>\(cells.joined())</tr>"
        }
        let least = names * 8 + 16 + columns.count * (Self.cell + 2)
        // Few cells would be stretched into bars.
        let most = names * 8 + 16 + columns.count * 72
        return """
            <figure class="heatmap" style="max-width:max(20rem,\(most + 32)px)"><figcaption>\(HTML.escape(title))\
            </figcaption><div class="scale" aria-hidden="true">0 <i></i> \(HTML.escape(Format.value(highest)))\
            <span class="cue">more to the right: scroll</span></div>\
            <div class="wide" role="region" tabindex="0" data-chart="heat" aria-label="\(HTML.escape(summary))">\
            <table class="heat" style="min-width:\(least)px"><caption class="sr">\(HTML.escape(title))</caption>\
            <colgroup><col style="width:\(names * 8 + 16)px"><col span="\(columns.count)"></colgroup>\
            <thead><tr><td></td>\(head.joined())</tr></thead><tbody>\(body.joined())</tbody></table></div></figure>
            """
    }
}
