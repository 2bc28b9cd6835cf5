import OrderedJSON
import Parallel
import Synchronization

/// Writes safetensors files in the layout of the reference implementation.
enum SafetensorsWriter {
    /// The header's bytes, the offset of each tensor in the file, and the size of the file.
    ///
    /// Wider elements come first, so that all tensors are aligned.
    static func layout(
        _ tensors: [TensorDescription], metadata: JSONObject = JSONObject([("format", "pt")])
    ) -> (header: [UInt8], tensors: [(description: TensorDescription, offset: Int)], byteCount: Int) {
        let ordered = tensors.sorted {
            ($1.elementType.byteCount, $0.name) < ($0.elementType.byteCount, $1.name)
        }
        var members = JSONObject([("__metadata__", .object(metadata))])
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

    /// Writes one file, using all cores, and flushes it to the disk.
    static func write(
        _ tensors: [TensorDescription], from source: any TensorSource, to path: String, reportedAs name: String,
        progress: (@Sendable (Int) -> Void)?
    ) throws {
        let (header, placed, byteCount) = layout(tensors)
        let file = try PlainFile(creating: path, reportedAs: name)
        try file.allocate(byteCount: byteCount)
        try header.withUnsafeBytes { try file.write($0, at: 0) }
        let pieces = placed.flatMap { TensorPiece.cut($0.description, offset: $0.offset) }
        try TensorPiece.copy(pieces, to: file, progress: progress) { piece, buffer in
            try source.read(piece.name, range: piece.range, into: buffer)
        }
        try file.synchronize()
    }
}
