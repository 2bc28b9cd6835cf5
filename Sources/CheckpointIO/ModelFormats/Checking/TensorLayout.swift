/// The tensors of a safetensors or GGUF file under the names that they have there, and their places.
struct TensorLayout: Sendable {
    /// How the elements are stored.
    enum Storage: Sendable, Equatable {
        case elements(ElementType)
        case float8(Float8Type)
        case blocks(GGUFTensorType)

        var typeName: String {
            switch self {
            case .elements(let type): type.rawValue
            case .float8(let type): type.rawValue
            case .blocks(let type): type.name
            }
        }

        /// Bytes that belong together: an element or a block.
        var unitByteCount: Int {
            switch self {
            case .elements(let type): type.byteCount
            case .float8: 1
            case .blocks(let type): type.blockByteCount
            }
        }
    }

    struct Tensor: Sendable {
        var name: String
        var shape: [Int]
        var storage: Storage
        /// Bytes of the file.
        var range: Range<Int>
    }

    let file: RandomAccessFile
    /// In the order of the file.
    let tensors: [Tensor]

    /// Whether a file is one of tensors, by its name.
    static func isWeightsFile(_ name: String) -> Bool { name.hasSuffix(".safetensors") || name.hasSuffix(".gguf") }

    /// A file of another kind.
    init(withoutTensors file: RandomAccessFile) {
        self.file = file
        tensors = []
    }

    /// Reads and checks the header of a file.
    ///
    /// - Throws: `ModelFormatError`
    init(_ file: RandomAccessFile) throws {
        self.file = file
        let start = try file.bytes(at: 0, count: min(4, file.byteCount), place: "start of the file")
        guard start != Array("GGUF".utf8) else {
            tensors = try GGUFHeader(file).tensors.map { info in
                Tensor(
                    name: info.name, shape: info.shape,
                    storage: info.type.blockElementCount > 1 ? .blocks(info.type) : .elements(info.type.elementType),
                    range: info.offset..<info.offset + info.byteCount)
            }.sorted { $0.range.lowerBound < $1.range.lowerBound }
            return
        }
        guard !file.path.hasSuffix(".gguf") else {
            throw ModelFormatError.malformed(
                path: file.path, place: "start of the file", reason: "does not begin with GGUF")
        }
        let header = try SafetensorsHeader(file)
        tensors = header.tensors.map { tensor in
            let offset = header.byteCount + tensor.offset
            return Tensor(
                name: tensor.description.name, shape: tensor.description.shape,
                storage: tensor.float8.map { .float8($0) } ?? .elements(tensor.description.elementType),
                range: offset..<offset + tensor.byteCount)
        }
    }
}
