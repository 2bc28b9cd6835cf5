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
    public let statistics: TensorDifference?
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
        let pair = TensorPair(TensorRows(a.file, a.tensor), TensorRows(b.file, b.tensor))
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

/// Two tensors with the same elements a row, gone through together.
private struct TensorPair: Sendable {
    let a: TensorRows
    let b: TensorRows

    init(_ a: TensorRows, _ b: TensorRows) {
        self.a = a
        self.b = b
    }

    func measure(keepsRowChanges: Bool) throws -> (statistics: TensorDifference, rowChanges: [Float]?) {
        let blocks = a.blocks(of: 0..<min(a.rows, b.rows))
        let parts = Mutex<[Int: (TensorDifference, [Float])]>([:])
        try forEachConcurrently(blocks.count) { block in
            let part = try a.withRowBytes(blocks[block]) { left in
                try b.withRowBytes(blocks[block]) { try measure(left, $0, keepsRowChanges: keepsRowChanges) }
            }
            parts.withLock { $0[block] = part }
        }
        var statistics = TensorDifference()
        var changes: [Float] = []
        let all = parts.withLock { $0 }
        for block in blocks.indices {
            guard let part = all[block] else { continue }
            statistics.append(part.0)
            changes += part.1
        }
        return (statistics, keepsRowChanges ? changes : nil)
    }

    /// The bytes of the same whole rows of both, in pieces that stay in a core's cache.
    private func measure(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, keepsRowChanges: Bool
    ) throws -> (TensorDifference, [Float]) {
        let sizeA = a.description.elementType.byteCount
        let sizeB = b.description.elementType.byteCount
        let count = left.count / sizeA
        let piece = keepsRowChanges ? max(a.columns, 1) : 1 << 13
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * piece)
        defer { scratch.deallocate() }
        var statistics = TensorDifference()
        var changes: [Float] = []
        for start in stride(from: 0, to: count, by: piece) {
            let length = min(piece, count - start)
            let bytesA = UnsafeRawBufferPointer(rebasing: left[start * sizeA..<(start + length) * sizeA])
            let bytesB = UnsafeRawBufferPointer(rebasing: right[start * sizeB..<(start + length) * sizeB])
            let valuesA = UnsafeMutableBufferPointer(rebasing: scratch[..<length])
            let valuesB = UnsafeMutableBufferPointer(rebasing: scratch[piece..<piece + length])
            try ElementConversion.toFloat32(bytesA, a.description.elementType, into: valuesA)
            try ElementConversion.toFloat32(bytesB, b.description.elementType, into: valuesB)
            guard let pointerA = valuesA.baseAddress, let pointerB = valuesB.baseAddress else { continue }
            var next = TensorDifference(pointerA, pointerB, count: length)
            next.identicalCount = identicalCount(bytesA, bytesB, pointerA, pointerB, count: length)
            if keepsRowChanges { changes.append(Float(next.differenceNorm)) }
            statistics.append(next)
        }
        return (statistics, changes)
    }

    /// Elements whose stored bits are equal; where the types differ, whose values are.
    private func identicalCount(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, _ valuesA: UnsafePointer<Float>,
        _ valuesB: UnsafePointer<Float>, count: Int
    ) -> Int {
        guard a.description.elementType == b.description.elementType, let left = left.baseAddress,
            let right = right.baseAddress
        else { return (0..<count).count { valuesA[$0] == valuesB[$0] } }
        switch a.description.elementType.byteCount {
        case 1: return Self.equalCount(left, right, count, as: UInt8.self)
        case 2: return Self.equalCount(left, right, count, as: UInt16.self)
        case 4: return Self.equalCount(left, right, count, as: UInt32.self)
        default: return Self.equalCount(left, right, count, as: UInt64.self)
        }
    }

    @inline(__always)
    private static func equalCount<Word: FixedWidthInteger & BitwiseCopyable>(
        _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int, as type: Word.Type
    ) -> Int {
        let size = MemoryLayout<Word>.size
        var equal: Word = 0
        var total = 0
        // A counter of the elements' own width lets the compiler compare whole vectors; it is emptied before it
        // can overflow.
        for start in stride(from: 0, to: count, by: 127) {
            equal = 0
            for index in start..<min(start + 127, count) {
                let x = a.loadUnaligned(fromByteOffset: index * size, as: Word.self)
                let y = b.loadUnaligned(fromByteOffset: index * size, as: Word.self)
                equal &+= x == y ? 1 : 0
            }
            total += Int(equal)
        }
        return total
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
