import Parallel
import Synchronization

/// A range of a tensor to be copied to a file.
struct TensorPiece: Sendable {
    var name: String
    /// Bytes of the tensor.
    var range: Range<Int>
    /// The offset of these bytes in the file.
    var offset: Int

    /// The size of a piece: several chunks of a checkpoint, since a chunk at a boundary is decoded twice.
    static let byteCount = 8 << 20

    static func cut(_ tensor: TensorDescription, offset: Int) -> [TensorPiece] {
        stride(from: 0, to: tensor.byteCount, by: byteCount).map { start in
            TensorPiece(
                name: tensor.name, range: start..<min(start + byteCount, tensor.byteCount), offset: offset + start)
        }
    }

    /// Copies pieces on all cores; `fill` provides the bytes of a piece, `progress` gets the bytes done so far.
    static func copy(
        _ pieces: [TensorPiece], to file: PlainFile, progress: (@Sendable (Int) -> Void)?,
        fill: @escaping @Sendable (TensorPiece, UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let done = ProgressCount(progress)
        try ParallelWork.forEach(pieces.count) { index in
            let piece = pieces[index]
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.range.count, alignment: 64)
            defer { buffer.deallocate() }
            try fill(piece, buffer)
            try file.write(UnsafeRawBufferPointer(buffer), at: piece.offset)
            done.add(piece.range.count)
        }
    }
}

/// Adds up the progress of several threads.
final class ProgressCount: Sendable {
    private let done = Atomic<Int>(0)
    private let report: (@Sendable (Int) -> Void)?

    init(_ report: (@Sendable (Int) -> Void)?) { self.report = report }

    func add(_ count: Int) {
        let total = done.wrappingAdd(count, ordering: .relaxed).newValue
        report?(total)
    }
}
