import CheckpointIO
import Dispatch

/// One tensor's logical bytes in memory, with the values as float32 on demand.
///
/// Unchecked because of the raw memory: it is filled before anyone else sees the object and only read after that.
final class TensorBytes: @unchecked Sendable {
    let description: TensorDescription
    let bytes: UnsafeMutableRawBufferPointer

    /// Reads the whole tensor; memory use is its `byteCount`.
    init(_ file: CheckpointFile, _ tensor: StoredTensor) throws {
        description = tensor.description
        bytes = .allocate(byteCount: max(tensor.description.byteCount, 1), alignment: 64)
        try file.read(tensor, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<description.byteCount]))
    }

    deinit { bytes.deallocate() }

    /// Elements of all dimensions but the first.
    var columns: Int { description.shape.dropFirst().reduce(1, *) }
    /// Length of the first dimension.
    var rows: Int { description.shape.first ?? 1 }
    /// Bytes of one row.
    var rowByteCount: Int { columns * description.elementType.byteCount }

    /// Converts rows `range` to float32, `[rows, columns]`.
    func readRows(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try ElementConversion.toFloat32(
            UnsafeRawBufferPointer(
                rebasing: bytes[range.lowerBound * rowByteCount..<range.upperBound * rowByteCount]),
            description.elementType, into: values)
    }

    /// One row as float32.
    func row(_ index: Int) throws -> [Float] {
        var values = [Float](repeating: 0, count: columns)
        try values.withUnsafeMutableBufferPointer { try readRows(index..<index + 1, into: $0) }
        return values
    }
}
