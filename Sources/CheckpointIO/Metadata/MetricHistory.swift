/// The curves of a training phase: one row a step, one column a metric, all columns equally long.
public struct MetricHistory: Sendable, Equatable {
    /// The metrics in the order in which they first appeared, `step` usually first.
    public private(set) var names: [String] = []
    private var columns: [String: [Double]] = [:]
    /// Steps recorded.
    public private(set) var rowCount = 0

    /// A history without metrics and rows.
    public init() {}

    /// The values of a metric, one a row, NaN where it was not recorded; nil if there is no such metric.
    public subscript(name: String) -> [Double]? { columns[name] }

    /// Adds a row. A metric that is new starts with NaN in the rows before, one that is absent gets NaN; of two
    /// entries with one name the later counts.
    public mutating func append(_ row: [(String, Double)]) {
        for (name, value) in row {
            if columns[name] == nil {
                names.append(name)
                columns[name] = [Double](repeating: .nan, count: rowCount)
            }
            if columns[name]!.count > rowCount {
                columns[name]![rowCount] = value
            } else {
                columns[name]!.append(value)
            }
        }
        rowCount += 1
        for name in names where columns[name]!.count < rowCount { columns[name]!.append(.nan) }
    }

    /// Columns of one length, as read from a file; nil where lengths differ or a name occurs twice.
    public init?(columns: [(name: String, values: [Double])]) {
        rowCount = columns.first?.values.count ?? 0
        for (name, values) in columns {
            guard values.count == rowCount, self.columns[name] == nil else { return nil }
            names.append(name)
            self.columns[name] = values
        }
    }

    /// Equal where names, order and the bits of all values are: NaN equals NaN.
    public static func == (left: MetricHistory, right: MetricHistory) -> Bool {
        left.rowCount == right.rowCount && left.names == right.names
            && left.names.allSatisfy { name in
                left.columns[name]!.elementsEqual(right.columns[name]!) { $0.bitPattern == $1.bitPattern }
            }
    }
}
