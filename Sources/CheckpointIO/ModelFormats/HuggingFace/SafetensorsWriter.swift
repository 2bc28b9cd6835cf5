import OrderedJSON
import Parallel
import Synchronization

/// Writes safetensors files: the reference's layout, read back by every reader of the format.
enum SafetensorsWriter {
    /// The header bytes, and where each tensor's data starts in the file, in the order of `tensors`.
    ///
    /// Wider elements lie first, so that all stay aligned.
    static func layout(
        _ tensors: [TensorDescription]
    ) -> (header: [UInt8], tensors: [(description: TensorDescription, offset: Int)], byteCount: Int) {
        let ordered = tensors.sorted {
            ($1.elementType.byteCount, $0.name) < ($0.elementType.byteCount, $1.name)
        }
        var members = JSONObject([("__metadata__", .object(JSONObject([("format", "pt")])))])
        var offset = 0
        var placed: [(description: TensorDescription, offset: Int)] = []
        for tensor in ordered {
            members[tensor.name] = .object(
                JSONObject([
                    ("dtype", .string(tensor.elementType.safetensorsName)),
                    ("shape", .array(tensor.shape.map(JSON.integer))),
                    ("data_offsets", .array([.integer(offset), .integer(offset + tensor.byteCount)])),
                ]))
            placed.append((tensor, offset))
            offset += tensor.byteCount
        }
        var json = Array(JSON.object(members).serialized().utf8)
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        var header = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) }
        header += json
        for index in placed.indices { placed[index].offset += header.count }
        return (header, placed, header.count + offset)
    }

    /// Writes one file, its tensors piece by piece on all cores, and flushes it to the disk.
    static func write(
        _ tensors: [TensorDescription], from source: any TensorSource, to path: String, reportedAs name: String,
        progress: (@Sendable (Int) -> Void)?
    ) throws {
        let (header, placed, byteCount) = layout(tensors)
        let file = try OutputFile(path, byteCount: byteCount, reportedAs: name)
        try header.withUnsafeBytes { try file.write($0, at: 0) }
        let pieces = placed.flatMap { TensorPiece.cut($0.description, offset: $0.offset) }
        try TensorPiece.copy(pieces, to: file, progress: progress) { piece, buffer in
            try source.read(piece.name, range: piece.range, into: buffer)
        }
        try file.finish()
    }
}

/// A part of a tensor on its way into a file.
struct TensorPiece: Sendable {
    var name: String
    /// Logical bytes of the tensor.
    var range: Range<Int>
    /// Where they go in the file.
    var offset: Int

    /// Bytes moved at a time: several chunks of a checkpoint, since one that is cut between pieces is decoded twice.
    static let byteCount = 8 << 20

    static func cut(_ tensor: TensorDescription, offset: Int) -> [TensorPiece] {
        stride(from: 0, to: tensor.byteCount, by: byteCount).map { start in
            TensorPiece(
                name: tensor.name, range: start..<min(start + byteCount, tensor.byteCount), offset: offset + start)
        }
    }

    /// Moves pieces on all cores; `fill` provides the bytes of one.
    /// - Parameter progress: gets the bytes done so far, from several threads.
    static func copy(
        _ pieces: [TensorPiece], to file: OutputFile, progress: (@Sendable (Int) -> Void)?,
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

/// Adds up what several threads have done.
final class ProgressCount: Sendable {
    private let done = Atomic<Int>(0)
    private let report: (@Sendable (Int) -> Void)?

    init(_ report: (@Sendable (Int) -> Void)?) { self.report = report }

    func add(_ count: Int) {
        let total = done.wrappingAdd(count, ordering: .relaxed).newValue
        report?(total)
    }
}
