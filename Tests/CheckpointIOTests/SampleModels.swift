import CheckpointIO
import Foundation
import OrderedJSON

/// A model of a configuration with made-up weights.
struct SampleModel: TensorSource {
    let metadata: CheckpointMetadata
    let tensors: [TensorDescription]

    /// A model of a family; `fields` are members of its config.json after the usual ones.
    init(
        _ family: String, _ fields: String = "", headDimension: Int = 16, type: ElementType = .float32,
        lineage: [String] = []
    ) throws {
        let more = fields.isEmpty ? "" : ", " + fields
        let config = """
            {"model_type": "\(family)", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": \(headDimension), "vocab_size": 40,
             "max_position_embeddings": 256, "rms_norm_eps": 1e-05\(more)}
            """
        let configuration = try ModelConfiguration(json: config)
        metadata = CheckpointMetadata(
            config: config,
            tiedTensors: configuration.tiesWordEmbeddings ? ["lm_head.weight": "model.embed_tokens.weight"] : [:],
            lineage: lineage)
        tensors = configuration.parameters.map {
            TensorDescription(name: $0.name, elementType: type, shape: $0.shape)
        }
    }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        // Small numbers in every floating-point type: the high byte of an element is that of a number near 1.
        let seed = name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFFFF }
        let width = tensors.first { $0.name == name }?.elementType.byteCount ?? 4
        for (index, position) in range.enumerated() {
            let isHigh = position % width == width - 1
            destination[index] = isHigh ? 0x3C : UInt8(truncatingIfNeeded: (position / width &* 37 &+ seed) >> 2 & 0x3F)
        }
    }
}

/// A safetensors file whose header and data a test edits.
struct SafetensorsText {
    private(set) var header: JSONObject
    private var data: Data

    init(_ url: URL) throws {
        let bytes = try Data(contentsOf: url)
        let length = Int(bytes.prefix(8).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        header = try JSON.parse([UInt8](bytes[8..<8 + length])).object ?? JSONObject()
        data = Data(bytes[(8 + length)...])
    }

    mutating func rename(_ name: (String) -> String) {
        var renamed = JSONObject()
        for (key, value) in header where key != "__metadata__" { renamed[name(key)] = value }
        header = renamed
    }

    mutating func add(_ name: String, dtype: String, shape: [Int], byteCount: Int) {
        header[name] = .object(
            JSONObject([
                ("dtype", .string(dtype)), ("shape", .array(shape.map(JSON.integer))),
                ("data_offsets", .array([.integer(data.count), .integer(data.count + byteCount)])),
            ]))
        data.append(Data(repeating: 1, count: byteCount))
    }

    func write(to url: URL) throws {
        let text = Data(JSON.object(header).serialized().utf8)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        try (length + text + data).write(to: url)
    }
}
