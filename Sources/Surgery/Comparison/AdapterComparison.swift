import CheckpointIO
import OrderedJSON
import Parallel
import Synchronization

/// The adapters of two checkpoints, by module.
package struct AdapterComparison: Sendable {
    /// One adapted weight W.
    package struct Module: Sendable {
        package let name: String
        /// nil outside of layers.
        package let layer: Int?
        /// ‖W‖ without the adapter.
        package let weightNorm: Double
        /// ‖s·B·A‖; nil if the checkpoint has no adapter on the module.
        package let normA: Double?
        package let normB: Double?
        /// The norm of the difference of both products; a missing one counts as 0.
        package let difference: Double

        /// The last part of the name, for example `q_proj`.
        package var target: String { name.split(separator: ".").last.map(String.init) ?? name }
        /// ‖s·B·A‖ / ‖W‖ of the second checkpoint, or of the first if only that has one.
        package var relativeNorm: Double { (normB ?? normA ?? 0) / weightNorm }
    }

    /// nil if A has no adapter.
    package let a: AdapterRecord?
    /// nil if B has no adapter.
    package let b: AdapterRecord?
    /// In the order of the layers, and of the names in each.
    package let modules: [Module]
    /// Whether records and tensors are equal.
    package let isSame: Bool

    /// Compares the adapters; nil if neither side has one.
    init?(_ a: CheckpointFile, _ b: CheckpointFile) throws {
        guard a.metadata.adapter != nil || b.metadata.adapter != nil else { return nil }
        self.a = a.metadata.adapter
        self.b = b.metadata.adapter
        let groups: [TensorGroup] = [.adapter, .base]
        isSame =
            self.a == self.b
            && groups.allSatisfy { a.tensors(in: $0).map(\.sha256) == b.tensors(in: $0).map(\.sha256) }
        let names = Set(Self.modules(of: a) + Self.modules(of: b)).sorted()
        let found = Mutex<[Int: Module]>([:])
        try ParallelWork.forEach(names.count) { index in
            let module = try Self.module(names[index], a, b)
            found.withLock { $0[index] = module }
        }
        let all = found.withLock { $0 }
        modules = names.indices.compactMap { all[$0] }.sorted {
            ($0.layer ?? -1, $0.name) < ($1.layer ?? -1, $1.name)
        }
    }

    private static func modules(of file: CheckpointFile) -> [String] {
        file.tensors(in: .adapter).compactMap { AdapterRecord.matrix(named: $0.description.name)?.module }
    }

    private static func module(_ name: String, _ a: CheckpointFile, _ b: CheckpointFile) throws -> Module {
        let (first, second) = (try AdapterProduct(name, in: a), try AdapterProduct(name, in: b))
        let (squareA, squareB) = (first?.dot(first), second?.dot(second))
        let cross = first?.dot(second) ?? 0
        let square = max(0, (squareA ?? 0) + (squareB ?? 0) - 2 * cross)
        let weight = AdapterRecord.weightName(ofModule: name)
        let file = second == nil ? a : b
        let norm = try file.tensor(weight, in: .base).map { try TensorRows(file, $0).norm() }
        return Module(
            name: name, layer: TensorRole.layer(of: name), weightNorm: norm ?? .nan, normA: squareA?.squareRoot(),
            normB: squareB?.squareRoot(), difference: square.squareRoot())
    }
}

/// The scaled product s·B·A of a module, which is never formed.
///
/// ⟨B₁A₁, B₂A₂⟩ is the sum of the element-wise product of A₁A₂ᵀ and B₁ᵀB₂, two matrices `[r₁, r₂]`.
private struct AdapterProduct {
    private let scaling: Double
    /// The rows of A, `[r][in]`, and the columns of B, `[r][out]`.
    private let rows: [[Float]]
    private let columns: [[Float]]

    /// Reads the matrices of a module; nil if the checkpoint has none.
    init?(_ module: String, in file: CheckpointFile) throws {
        let (nameA, nameB) = (AdapterRecord.name(of: .a, module: module), AdapterRecord.name(of: .b, module: module))
        guard let record = file.metadata.adapter, let a = file.tensor(nameA, in: .adapter),
            let b = file.tensor(nameB, in: .adapter)
        else { return nil }
        scaling = record.scaling
        rows = try (0..<record.rank).map { try TensorRows(file, a).row($0) }
        let outputs = b.description.shape[0]
        var values = [Float](repeating: 0, count: outputs * record.rank)
        try values.withUnsafeMutableBufferPointer { try TensorRows(file, b).readRows(0..<outputs, into: $0) }
        columns = (0..<record.rank).map { column in (0..<outputs).map { values[$0 * record.rank + column] } }
    }

    /// The inner product with another product of the same shape; nil without one, 0 for another shape.
    func dot(_ other: AdapterProduct?) -> Double? {
        guard let other else { return nil }
        guard rows[0].count == other.rows[0].count, columns[0].count == other.columns[0].count else { return 0 }
        var sum = 0.0
        for (row, column) in zip(rows, columns) {
            for (otherRow, otherColumn) in zip(other.rows, other.columns) {
                sum += Self.dot(row, otherRow) * Self.dot(column, otherColumn)
            }
        }
        return scaling * other.scaling * sum
    }

    private static func dot(_ a: [Float], _ b: [Float]) -> Double {
        var sum = 0.0
        for index in a.indices { sum += Double(a[index]) * Double(b[index]) }
        return sum
    }
}

extension TensorRows {
    /// The norm of all elements, read in blocks.
    fileprivate func norm() throws -> Double {
        var sum = 0.0
        for block in blocks(of: 0..<rows) {
            var values = [Float](repeating: 0, count: block.count * columns)
            try values.withUnsafeMutableBufferPointer { try readRows(block, into: $0) }
            for value in values { sum += Double(value) * Double(value) }
        }
        return sum.squareRoot()
    }
}

extension AdapterComparison {
    /// The comparison as `--json` prints it.
    package var json: JSON {
        func json(_ record: AdapterRecord?) -> JSON { record?.json ?? .null }
        return [
            "a": json(a), "b": json(b), "same": .bool(isSame),
            "modules": .array(
                modules.map {
                    [
                        "module": .string($0.name), "layer": $0.layer.map { .integer($0) } ?? .null,
                        "target": .string($0.target), "weight_norm": .double($0.weightNorm),
                        "norm_a": $0.normA.map { .double($0) } ?? .null,
                        "norm_b": $0.normB.map { .double($0) } ?? .null, "difference_norm": .double($0.difference),
                        "relative_norm": .double($0.relativeNorm),
                    ]
                }),
        ]
    }
}
