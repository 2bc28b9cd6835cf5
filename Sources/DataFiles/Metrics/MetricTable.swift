import OrderedJSON

/// Numbers by step and name, collected from the log of a run.
package struct MetricTable: Sendable {
    /// More names or values than any run has are not a log.
    private static let maximumNames = 20_000
    private static let maximumValues = 4_000_000

    /// In the order in which they were first logged.
    package private(set) var names: [String] = []
    private var columns: [String: [Int: Double]] = [:]
    private var count = 0

    package init() {}

    package var isEmpty: Bool { names.isEmpty }

    /// Adds a value; one of the same step and name is replaced, as a resumed run repeats steps.
    ///
    /// - Throws: `FormatProblem` if the log has more than any run has.
    mutating func add(_ value: Double, step: Int, name: String) throws {
        if columns[name] == nil {
            guard names.count < Self.maximumNames else {
                throw FormatProblem("has over \(Self.maximumNames) metrics; give the log of one run")
            }
            names.append(name)
        }
        if columns[name, default: [:]].updateValue(value, forKey: step) == nil { count += 1 }
        guard count <= Self.maximumValues else {
            throw FormatProblem("has over \(Self.maximumValues) values; give the log of one run")
        }
    }

    /// Adds a number of JSON; other values are passed over, and objects give a name for each member.
    ///
    /// - Throws: `FormatProblem` as `add`.
    mutating func add(_ value: JSON, step: Int, name: String, depth: Int = 0) throws {
        if let members = value.object, depth < 4 {
            for (key, member) in members {
                try add(member, step: step, name: "\(name)/\(key)", depth: depth + 1)
            }
        } else if let number = value.double {
            try add(number, step: step, name: name)
        } else if let text = value.string, let special = Self.specials[text] {
            try add(special, step: step, name: name)
        }
    }

    /// How logs write numbers that JSON does not have.
    private static let specials: [String: Double] = [
        "NaN": .nan, "nan": .nan, "Infinity": .infinity, "inf": .infinity, "-Infinity": -.infinity,
        "-inf": -.infinity,
    ]

    /// The steps that have a value, ascending.
    package var steps: [Int] { Set(columns.values.flatMap(\.keys)).sorted() }

    /// The values of a metric at these steps; NaN where it has none.
    package func values(_ name: String, at steps: [Int]) -> [Double] {
        let column = columns[name] ?? [:]
        return steps.map { column[$0] ?? .nan }
    }
}
