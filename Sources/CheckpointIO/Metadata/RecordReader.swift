/// The datasets and attributes of an opened checkpoint that are not tensors, read by path and type.
struct RecordReader {
    /// The file, for errors.
    let filePath: String
    /// Datasets by path, and attributes by `path@name`.
    private(set) var values: [String: HDF5Value] = [:]
    private(set) var groups: Set<String> = []

    init(filePath: String) { self.filePath = filePath }

    mutating func add(_ key: String, _ value: HDF5Value) { values[key] = value }

    mutating func add(group path: String) { groups.insert(path) }

    func text(_ key: String) throws -> String {
        guard let text = values[key]?.text else { throw damaged(key, "is missing or not a text") }
        return text
    }

    func optionalText(_ key: String) throws -> String? { values[key] == nil ? nil : try text(key) }

    func texts(_ key: String) throws -> [String] { try array(key, "texts", \.texts) }

    private func integer(_ key: String) throws -> Int {
        guard let integer = values[key]?.integer else { throw damaged(key, "is missing or not an integer") }
        return integer
    }

    /// An integer in `CheckpointLayout.counters`.
    func counter(_ key: String) throws -> Int {
        let integer = try integer(key)
        guard CheckpointLayout.counters.contains(integer) else { throw damaged(key, Self.outOfRange) }
        return integer
    }

    func optionalCounter(_ key: String) throws -> Int? { values[key] == nil ? nil : try counter(key) }

    /// Integers in `CheckpointLayout.counters`.
    func counters(_ key: String) throws -> [Int] {
        let integers = try array(key, "integers", \.integers)
        guard integers.allSatisfy({ CheckpointLayout.counters.contains($0) }) else {
            throw damaged(key, Self.outOfRange)
        }
        return integers
    }

    private static let outOfRange = "has a number outside \(CheckpointLayout.counters)"

    func doubles(_ key: String, rank: Int = 1) throws -> [Double] { try array(key, rank: rank, "numbers", \.doubles) }

    func booleans(_ key: String) throws -> [Bool] { try array(key, "booleans", \.booleans) }

    private func array<Element>(
        _ key: String, rank: Int = 1, _ elements: String, _ content: (HDF5Value) -> [Element]?
    ) throws -> [Element] {
        guard let value = values[key], value.shape?.count == rank, let array = content(value) else {
            throw damaged(key, "is missing or not an array of \(elements)")
        }
        return array
    }

    func damaged(_ place: String, _ problem: String) -> CheckpointError {
        .damaged(path: filePath, place: place, problem: problem)
    }

    func unsupported(_ place: String, _ problem: String) -> CheckpointError {
        .unsupported(path: filePath, place: place, problem: problem)
    }
}
