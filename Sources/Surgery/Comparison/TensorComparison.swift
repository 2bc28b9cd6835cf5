import CheckpointIO
import Synchronization

/// What became of one tensor.
public struct TensorComparison: Sendable {
    public enum Status: String, Sendable {
        /// Equal digests: nothing was read.
        case identical
        case changed
        /// The first dimension differs; the rows both have were compared.
        case resized
        /// Same elements in another storage type; compared as float32.
        case retyped
        case reshaped
        case added
        case removed
    }

    public let name: String
    public let status: Status
    public let shapeA: [Int]?
    public let shapeB: [Int]?
    public let typeA: ElementType?
    public let typeB: ElementType?
    /// Of the elements both have; nil where nothing was compared.
    public let statistics: TensorStatistics?
    /// ‖B − A‖ of each row both have, for the vocabulary matrices.
    public let rowChanges: [Float]?
    /// The rows that were asked for, as they are in A (nil where A has no such row) and in B.
    let rows: [Int: (a: [Float]?, b: [Float]?)]
    /// For the rows that were asked for, the rows of B that point most nearly the same way.
    let neighbors: [Int: [RowNeighbor]]

    /// `q`, `k`, `gate`, `norm`, `embed` …: the part of the model the tensor plays.
    public var role: TensorRole { TensorRole(name) }
    /// The decoder layer, nil outside of layers.
    public var layer: Int? { TensorRole.layer(of: name) }

    /// Compares two stored tensors of the same name. Equal sha256 and equal description cost no reading.
    init(
        _ a: (file: CheckpointFile, tensor: StoredTensor)?, _ b: (file: CheckpointFile, tensor: StoredTensor)?,
        name: String, keepsRowChanges: Bool = false, rowsOfInterest: Set<Int> = []
    ) throws {
        self.name = name
        shapeA = a?.tensor.description.shape
        shapeB = b?.tensor.description.shape
        typeA = a?.tensor.description.elementType
        typeB = b?.tensor.description.elementType
        guard let a, let b else {
            status = a == nil ? .added : .removed
            statistics = nil
            rowChanges = nil
            rows = [:]
            neighbors = [:]
            return
        }
        let left = a.tensor.description
        let right = b.tensor.description
        if left.shape == right.shape, left.elementType == right.elementType, a.tensor.sha256 == b.tensor.sha256 {
            status = .identical
            statistics = nil
            rowChanges = nil
            rows = [:]
            neighbors = [:]
            return
        }
        guard left.shape.count == right.shape.count, left.shape.dropFirst() == right.shape.dropFirst(),
            left.elementCount > 0, right.elementCount > 0
        else {
            status = .reshaped
            statistics = nil
            rowChanges = nil
            rows = [:]
            neighbors = [:]
            return
        }
        status = left.shape != right.shape ? .resized : left.elementType != right.elementType ? .retyped : .changed
        let pair = try TensorPair(TensorBytes(a.file, a.tensor), TensorBytes(b.file, b.tensor))
        let measured = try pair.measure(keepsRowChanges: keepsRowChanges)
        statistics = measured.statistics
        rowChanges = measured.rowChanges
        rows = try Dictionary(
            uniqueKeysWithValues: rowsOfInterest.map { row in
                (row, (row < pair.a.rows ? try pair.a.row(row) : nil, row < pair.b.rows ? try pair.b.row(row) : nil))
            })
        neighbors = try RowNeighbor.nearest(to: rowsOfInterest.filter { $0 < pair.b.rows }.sorted(), in: pair.b)
    }
}

/// Two tensors with the same elements a row, in memory together.
private struct TensorPair: Sendable {
    let a: TensorBytes
    let b: TensorBytes

    init(_ a: TensorBytes, _ b: TensorBytes) {
        self.a = a
        self.b = b
    }

    func measure(keepsRowChanges: Bool) throws -> (statistics: TensorStatistics, rowChanges: [Float]?) {
        let width = max(a.columns, 1)
        let rows = min(a.rows, b.rows)
        // Blocks of whole rows, so that row norms fall out of them, near the size of a core's cache.
        let rowsPerBlock = max(1, (1 << 15) / width)
        let blockCount = (rows + rowsPerBlock - 1) / rowsPerBlock
        let parts = Mutex<[Int: (TensorStatistics, [Float])]>([:])
        try forEachConcurrently(blockCount) { block in
            let range = block * rowsPerBlock..<min((block + 1) * rowsPerBlock, rows)
            let count = range.count * width
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * max(count, 1))
            defer { values.deallocate() }
            let left = UnsafeMutableBufferPointer(rebasing: values[..<count])
            let right = UnsafeMutableBufferPointer(rebasing: values[count..<2 * count])
            try a.readRows(range, into: left)
            try b.readRows(range, into: right)
            guard let left = left.baseAddress, let right = right.baseAddress else { return }
            var statistics = TensorStatistics()
            var changes: [Float] = []
            if keepsRowChanges {
                for row in 0..<range.count {
                    let next = TensorStatistics(left + row * width, right + row * width, count: width)
                    changes.append(Float(next.differenceNorm))
                    statistics.append(next)
                }
            } else {
                statistics = TensorStatistics(left, right, count: count)
            }
            statistics.identicalCount = identicalCount(range, width: width, left, right)
            let part = (statistics, changes)
            parts.withLock { $0[block] = part }
        }
        var statistics = TensorStatistics()
        var changes: [Float] = []
        let all = parts.withLock { $0 }
        for block in 0..<blockCount {
            guard let part = all[block] else { continue }
            statistics.append(part.0)
            changes += part.1
        }
        return (statistics, keepsRowChanges ? changes : nil)
    }

    /// Elements of these rows whose stored bits are equal; where the types differ, whose values are.
    private func identicalCount(
        _ rows: Range<Int>, width: Int, _ valuesA: UnsafePointer<Float>, _ valuesB: UnsafePointer<Float>
    ) -> Int {
        let elements = rows.lowerBound * width..<rows.upperBound * width
        guard a.description.elementType == b.description.elementType,
            let left = a.bytes.baseAddress, let right = b.bytes.baseAddress
        else { return (0..<elements.count).count { valuesA[$0] == valuesB[$0] } }
        switch a.description.elementType.byteCount {
        case 1: return Self.equalCount(left, right, elements, as: UInt8.self)
        case 2: return Self.equalCount(left, right, elements, as: UInt16.self)
        case 4: return Self.equalCount(left, right, elements, as: UInt32.self)
        default: return Self.equalCount(left, right, elements, as: UInt64.self)
        }
    }

    @inline(__always)
    private static func equalCount<Word: FixedWidthInteger>(
        _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ range: Range<Int>, as type: Word.Type
    ) -> Int {
        let a = a.assumingMemoryBound(to: Word.self)
        let b = b.assumingMemoryBound(to: Word.self)
        var count = 0
        for index in range where a[index] == b[index] { count += 1 }
        return count
    }
}

extension TensorComparison {
    /// The place of the largest difference, one number a dimension; empty where nothing was compared.
    public var largestIndex: [Int] {
        guard let statistics, let shape = shapeB else { return [] }
        var flat = statistics.largestIndex
        var index = [Int](repeating: 0, count: shape.count)
        for dimension in shape.indices.reversed() where shape[dimension] > 0 {
            index[dimension] = flat % shape[dimension]
            flat /= shape[dimension]
        }
        return index
    }
}
