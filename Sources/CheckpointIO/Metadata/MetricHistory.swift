/// The metrics of a training phase: one row per step and one column per metric.
public struct MetricHistory: Sendable, Equatable {
    /// The metrics in order of first appearance, usually starting with `step`.
    public private(set) var names: [String] = []
    private var columns: [String: [Double]] = [:]
    /// The number of recorded steps.
    public private(set) var rowCount = 0

    /// Creates an empty history.
    public init() {}

    /// The values of a metric, one per row and NaN where it was not recorded; nil if there is no such metric.
    public subscript(name: String) -> [Double]? { columns[name] }

    /// Appends a row.
    ///
    /// A new metric gets NaN in the earlier rows, and a metric that is absent gets NaN in this one. If a name occurs
    /// twice, the later value counts.
    public mutating func append(_ row: [(String, Double)]) {
        for (name, value) in row {
            if columns[name] == nil { names.append(name) }
            var column = columns.removeValue(forKey: name) ?? [Double](repeating: .nan, count: rowCount)
            if column.count > rowCount { column.removeLast() }
            column.append(value)
            columns[name] = column
        }
        rowCount += 1
        for name in names where columns[name, default: []].count < rowCount { columns[name]?.append(.nan) }
    }

    /// Creates a history from columns; nil if their lengths differ or a name occurs twice.
    public init?(columns: [(name: String, values: [Double])]) {
        rowCount = columns.first?.values.count ?? 0
        for (name, values) in columns {
            guard values.count == rowCount, self.columns[name] == nil else { return nil }
            names.append(name)
            self.columns[name] = values
        }
    }

    /// Compares names, order and the bits of all values, so that NaN equals NaN.
    public static func == (left: MetricHistory, right: MetricHistory) -> Bool {
        left.rowCount == right.rowCount && left.names == right.names
            && left.names.allSatisfy { left.columns[$0]?.map(\.bitPattern) == right.columns[$0]?.map(\.bitPattern) }
    }
}

extension MetricHistory {
    /// The histories of all training phases, by phase.
    static func all(from records: RecordReader) throws -> [String: MetricHistory] {
        var result: [String: MetricHistory] = [:]
        for group in records.groups where group.hasPrefix("/history/") {
            let metrics = records.values.keys.filter { $0.hasPrefix(group + "/") }.map { $0.dropFirst(group.count + 1) }
            let names = metrics.map(String.init).sorted()
            let hasOrder = records.values["\(group)@order"] != nil
            let order = hasOrder ? try records.texts("\(group)@order") : names
            guard order.sorted() == names else { throw records.damaged(group, "its order is not that of its metrics") }
            let columns = try order.map { (name: $0, values: try records.doubles("\(group)/\($0)")) }
            guard let history = MetricHistory(columns: columns) else {
                throw records.damaged(group, "its metrics differ in length")
            }
            result[String(group.dropFirst("/history/".count))] = history
        }
        return result
    }

    static func write(_ histories: [String: MetricHistory], to records: inout RecordWriter) throws {
        if !histories.isEmpty { records.group("/history") }
        for (phase, history) in histories.sorted(by: { $0.key < $1.key }) {
            let path = "/history/" + phase
            for name in [phase] + history.names {
                guard let problem = CheckpointLayout.problem(withMemberName: name) else { continue }
                throw CheckpointError.invalid(
                    name: name == phase ? path : "\(path)/\(name)", problem: "the name of a metric \(problem)")
            }
            records.group(path)
            // HDF5 lists names alphabetically, so the order of the metrics is stored separately.
            records.attribute(path, "order", texts: history.names)
            for name in history.names { records.dataset("\(path)/\(name)", .doubles(history[name] ?? [])) }
        }
    }
}

extension CheckpointMetadata {
    /// Bytes of the numbers that a training run adds to at its steps: histories and probes.
    package var measurementBytes: Int {
        history.values.reduce(0) { $0 + 8 * $1.rowCount * $1.names.count }
            + probes.reduce(0) { $0 + 8 * $1.steps.count * (1 + 2 * $1.prompts.count) }
    }
}
