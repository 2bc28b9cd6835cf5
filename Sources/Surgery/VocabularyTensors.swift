import CheckpointIO

/// The tensors of a model whose first dimension is the vocabulary.
struct VocabularyTensors: Sendable {
    static let embeddingName = "model.embed_tokens.weight"
    static let headName = "lm_head.weight"
    static let headBiasName = "lm_head.bias"

    /// `[vocabulary, hidden]`
    let embedding: StoredTensor
    /// `[vocabulary, hidden]`; nil where the head is tied to the embedding.
    let head: StoredTensor?
    /// `[vocabulary]`; none of the supported families has one, but fine-tuned models may.
    let headBias: StoredTensor?

    init(_ file: CheckpointFile) throws {
        guard let embedding = file.tensor(Self.embeddingName) else {
            throw SurgeryError.noTensor(path: file.path, tensor: Self.embeddingName)
        }
        guard embedding.description.shape.count == 2, embedding.description.elementCount > 0 else {
            throw SurgeryError.unsuitableTensor(
                path: file.path, tensor: Self.embeddingName,
                reason: "has shape \(embedding.description.shape), not [vocabulary, hidden]")
        }
        self.embedding = embedding
        let isTied = file.metadata.tiedTensors[Self.headName] != nil
        head = isTied ? nil : file.tensor(Self.headName)
        headBias = file.tensor(Self.headBiasName)
        for tensor in [head, headBias].compactMap(\.self) {
            guard tensor.description.shape.first == embedding.description.shape[0] else {
                throw SurgeryError.unsuitableTensor(
                    path: file.path, tensor: tensor.description.name,
                    reason: "has shape \(tensor.description.shape), but the embedding has "
                        + "\(embedding.description.shape[0]) rows")
            }
        }
        for tensor in all {
            let type = tensor.description.elementType
            guard [.float32, .float16, .bfloat16, .float64].contains(type) else {
                throw SurgeryError.unsuitableTensor(
                    path: file.path, tensor: tensor.description.name,
                    reason: "is stored as \(type.rawValue); cast it to a float type first")
            }
        }
    }

    var all: [StoredTensor] { [embedding, head, headBias].compactMap(\.self) }
    var rows: Int { embedding.description.shape[0] }
}

/// A vocabulary tensor with some rows replaced and, behind the old ones, some added.
struct EditedRows: Sendable {
    let old: TensorRows
    /// Row index to bytes; rows beyond the old ones that are not in here are zero.
    let replacements: [Int: [UInt8]]
    let rowCount: Int

    var description: TensorDescription {
        var description = old.description
        description.shape[0] = rowCount
        return description
    }

    /// Copies logical bytes `range` of the edited tensor.
    func copy(_ range: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws {
        let oldByteCount = old.description.byteCount
        let kept = range.clamped(to: 0..<oldByteCount)
        if !kept.isEmpty {
            try old.readBytes(kept, into: UnsafeMutableRawBufferPointer(rebasing: target[..<kept.count]))
        }
        for index in kept.count..<max(range.count, kept.count) { target[index] = 0 }
        let width = old.rowByteCount
        for (row, bytes) in replacements {
            let place = (row * width..<(row + 1) * width).clamped(to: range)
            guard !place.isEmpty else { continue }
            for index in place { target[index - range.lowerBound] = bytes[index - row * width] }
        }
    }

    /// The tensor to write.
    func tensorToWrite(in group: TensorGroup) -> TensorToWrite {
        let width = old.rowByteCount
        let edit = TensorEdit(
            of: old.tensor, in: old.file, changed: replacements.keys.map { $0 * width..<($0 + 1) * width },
            fill: { try copy($0, into: $1) })
        return TensorToWrite(group: group, description: description, content: .edited(edit))
    }
}
