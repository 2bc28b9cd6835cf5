import Parallel
import Synchronization

/// Statistics of a tensor's values; NaN and infinite values are counted but otherwise left out.
package struct TensorStatistics: Sendable, Equatable {
    package var elementCount = 0
    package var nanCount = 0
    package var infiniteCount = 0
    package var zeroCount = 0
    package var minimum = Double.infinity
    package var maximum = -Double.infinity
    private var sum = 0.0
    private var sumOfSquares = 0.0

    /// Creates the statistics of no values.
    package init() {}

    package var finiteCount: Int { elementCount - nanCount - infiniteCount }
    /// The mean; NaN if there is no finite element.
    package var mean: Double { sum / Double(finiteCount) }
    /// The population standard deviation.
    package var standardDeviation: Double {
        max(0, sumOfSquares / Double(finiteCount) - mean * mean).squareRoot()
    }
    /// The Euclidean norm.
    package var norm: Double { sumOfSquares.squareRoot() }
    /// The share of elements that are zero.
    package var zeroShare: Double { Double(zeroCount) / Double(elementCount) }

    package mutating func add(_ values: UnsafeBufferPointer<Float>) {
        for value in values { add(Double(value)) }
    }

    package mutating func add(_ values: UnsafeBufferPointer<Double>) {
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

    /// Adds the statistics of other values.
    package mutating func add(_ other: TensorStatistics) {
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
    /// Computes statistics of a tensor chunk by chunk, using all cores; integers are converted to float32.
    ///
    /// - Throws: `CheckpointError.damaged` with the number of the chunk.
    package func statistics(of tensor: StoredTensor) throws -> TensorStatistics {
        let type = tensor.description.elementType
        if let ranges = tensor.externalRanges {
            return try Self.sum(of: ranges.count) { number in
                let range = ranges[number]
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
                defer { bytes.deallocate() }
                try self.readExternal(tensor, range, into: bytes)
                return try Self.statistics(of: UnsafeRawBufferPointer(bytes), type)
            }
        }
        guard case .chunked(let grid, let filters) = tensor.storage, grid.isContiguous else {
            // A small tensor, or chunks that are not contiguous ranges (never written by ckpt).
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.description.byteCount, alignment: 64)
            defer { bytes.deallocate() }
            try read(tensor, into: bytes)
            return try Self.statistics(of: UnsafeRawBufferPointer(bytes), type)
        }
        return try Self.sum(of: grid.count) { number in
            let bytes = UnsafeMutableRawBufferPointer.allocate(
                byteCount: grid.byteRange(ofChunk: number).count, alignment: 64)
            defer { bytes.deallocate() }
            _ = try self.decodeChunk(number, of: tensor, grid, filters, into: bytes, isWhole: false)
            return try Self.statistics(of: UnsafeRawBufferPointer(bytes), type)
        }
    }

    /// Computes the statistics of parts on all cores and adds them.
    private static func sum(
        of count: Int, _ part: @Sendable (Int) throws -> TensorStatistics
    ) throws -> TensorStatistics {
        let partial = PartialStatistics()
        try ParallelWork.forEach(count) { number in
            let statistics = try part(number)
            partial.chunks.withLock { $0[number] = statistics }
        }
        // Add in the order of the chunks, so that sums do not depend on the timing of threads.
        return partial.chunks.withLock { chunks in
            (0..<count).reduce(into: TensorStatistics()) { $0.add(chunks[$1] ?? TensorStatistics()) }
        }
    }

    private static func statistics(of bytes: UnsafeRawBufferPointer, _ type: ElementType) throws -> TensorStatistics {
        var statistics = TensorStatistics()
        if type == .float64 {
            // As float32, many values would be infinite or zero. The buffer is 64-byte-aligned, and the machine is
            // little-endian like the file.
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
