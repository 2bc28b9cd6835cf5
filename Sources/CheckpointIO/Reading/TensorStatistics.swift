import Parallel
import Synchronization

/// What a person wants to know about the values of a tensor. Not-a-number and infinite values are counted and take no
/// part in the rest.
public struct TensorStatistics: Sendable, Equatable {
    public var elementCount = 0
    public var nanCount = 0
    public var infiniteCount = 0
    public var zeroCount = 0
    public var minimum = Double.infinity
    public var maximum = -Double.infinity
    private var sum = 0.0
    private var sumOfSquares = 0.0

    /// Statistics of no values.
    public init() {}

    /// Elements that are numbers.
    public var finiteCount: Int { elementCount - nanCount - infiniteCount }
    /// NaN where there is no finite element.
    public var mean: Double { sum / Double(finiteCount) }
    /// The standard deviation of the elements as they are (not an estimate for more).
    public var standardDeviation: Double {
        max(0, sumOfSquares / Double(finiteCount) - mean * mean).squareRoot()
    }
    /// The Euclidean norm.
    public var norm: Double { sumOfSquares.squareRoot() }
    /// The share of elements that are zero.
    public var zeroShare: Double { Double(zeroCount) / Double(elementCount) }

    /// Adds values.
    public mutating func add(_ values: UnsafeBufferPointer<Float>) {
        for value in values { add(Double(value)) }
    }

    /// Adds values.
    public mutating func add(_ values: UnsafeBufferPointer<Double>) {
        for value in values { add(value) }
    }

    @inline(__always)
    private mutating func add(_ value: Double) {
        elementCount += 1
        guard value.isFinite else {
            if value.isNaN { nanCount += 1 } else { infiniteCount += 1 }
            return
        }
        if value == 0 { zeroCount += 1 }
        sum += value
        sumOfSquares += value * value
        if value < minimum { minimum = value }
        if value > maximum { maximum = value }
    }

    /// Adds what was found out about other values.
    public mutating func add(_ other: TensorStatistics) {
        elementCount += other.elementCount
        nanCount += other.nanCount
        infiniteCount += other.infiniteCount
        zeroCount += other.zeroCount
        sum += other.sum
        sumOfSquares += other.sumOfSquares
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }
}

extension CheckpointFile {
    /// Reads a tensor on all cores, a chunk at a time, and describes its values (integers as float32).
    /// - Throws: `CheckpointError.damaged` that names the chunk.
    public func statistics(of tensor: StoredTensor) throws -> TensorStatistics {
        let type = tensor.description.elementType
        guard case .chunked(let grid, let filters) = tensor.storage, grid.isContiguous else {
            // Small, or chunked in a way that ckpt never writes.
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.description.byteCount, alignment: 64)
            defer { bytes.deallocate() }
            try read(tensor, into: bytes)
            return try Self.statistics(of: UnsafeRawBufferPointer(bytes), type)
        }
        let partial = PartialStatistics()
        try ParallelWork.forEach(grid.count) { number in
            let bytes = UnsafeMutableRawBufferPointer.allocate(
                byteCount: grid.byteRange(ofChunk: number).count, alignment: 64)
            defer { bytes.deallocate() }
            _ = try self.decodeChunk(number, of: tensor, grid, filters, into: bytes, isWhole: false)
            let statistics = try Self.statistics(of: UnsafeRawBufferPointer(bytes), type)
            partial.chunks.withLock { $0[number] = statistics }
        }
        // In the order of the chunks, so that sums do not depend on which thread was first.
        return partial.chunks.withLock { chunks in
            (0..<grid.count).reduce(into: TensorStatistics()) { $0.add(chunks[$1] ?? TensorStatistics()) }
        }
    }

    private static func statistics(of bytes: UnsafeRawBufferPointer, _ type: ElementType) throws -> TensorStatistics {
        var statistics = TensorStatistics()
        if type == .float64 {
            // As float32 many would be infinite or zero. Storage is 64-byte-aligned and little-endian, as the machine.
            statistics.add(bytes.assumingMemoryBound(to: Double.self))
            return statistics
        }
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: bytes.count / type.byteCount)
        defer { values.deallocate() }
        try ElementConversion.toFloat32(bytes, type, into: values)
        statistics.add(UnsafeBufferPointer(values))
        return statistics
    }
}

private final class PartialStatistics: Sendable {
    let chunks = Mutex<[Int: TensorStatistics]>([:])
}
