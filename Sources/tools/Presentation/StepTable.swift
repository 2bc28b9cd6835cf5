/// A table with right-aligned columns of fixed widths; where the lines are short, the least important columns go.
package struct StepTable: Sendable {
    package struct Column: Sendable {
        /// The two lines of the heading.
        let heading: (String, String)
        /// The cells of each value.
        let width: Int
        /// The importance, from 1 on; columns of one rank stay or go together.
        let rank: Int
        /// The cells between this column and the one before it.
        let gap: Int

        package init(_ top: String, _ bottom: String, _ width: Int, rank: Int, gap: Int = 2) {
            (heading, self.width, self.rank, self.gap) = ((top, bottom), width, rank, gap)
        }
    }

    package let columns: [Column]

    package init(_ columns: [Column]) { self.columns = columns }

    /// The indices of the columns that fit into `width` cells, the most important ones; at least one.
    package func shown(in width: Int) -> [Int] {
        var chosen: [Int] = []
        for rank in Set(columns.map(\.rank)).sorted() {
            let wider = columns.indices.filter { columns[$0].rank <= rank }
            guard chosen.isEmpty || cells(of: wider) <= width else { break }
            chosen = wider
        }
        return chosen
    }

    /// The two lines of the heading in `width` cells.
    package func heading(in width: Int) -> [String] {
        [line(columns.map(\.heading.0), in: width), line(columns.map(\.heading.1), in: width)]
    }

    /// The line of a row in `width` cells.
    ///
    /// - Parameters:
    ///   - values: the text for each column, of which a longer one is cut.
    ///   - width: the cells.
    /// - Returns: the line, without spaces at its end.
    package func line(_ values: [String], in width: Int) -> String {
        var line = ""
        for index in shown(in: width) {
            line += String(repeating: " ", count: line.isEmpty ? 0 : columns[index].gap)
            line += Format.column(values[index], columns[index].width, alignRight: true)
        }
        while line.last == " " { line.removeLast() }
        return line.cut(toCells: width)
    }

    private func cells(of indices: [Int]) -> Int {
        indices.reduce(0) { $0 + columns[$1].width + ($1 == indices.first ? 0 : columns[$1].gap) }
    }
}
