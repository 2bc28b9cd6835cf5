/// The metrics of one step: named numbers in the order in which logs list them.
package struct MetricRow: Sendable, ExpressibleByDictionaryLiteral {
    package private(set) var values: [(name: String, value: Double)]

    package init(_ values: [(name: String, value: Double)] = []) { self.values = values }

    package init(dictionaryLiteral elements: (String, Double)...) { values = elements.map { ($0, $1) } }

    /// The value of a metric; nil if the row does not have it.
    package subscript(name: String) -> Double? { values.first { $0.name == name }?.value }

    package mutating func append(_ name: String, _ value: Double) { values.append((name, value)) }

    package mutating func append(_ other: MetricRow) { values += other.values }

    /// The row without values that are not finite.
    var finite: MetricRow { MetricRow(values.filter(\.value.isFinite)) }
}
