import CheckpointIO

/// The tensors of a model whose first dimension is the vocabulary.
struct VocabularyTensors: Sendable {
    static let embeddingName = "model.embed_tokens.weight"
    static let headName = "lm_head.weight"
    static let headBiasName = "lm_head.bias"

    /// `[vocabulary, hidden]`.
    let embedding: StoredTensor
    /// `[vocabulary, hidden]`; nil if the head is tied to the embedding.
    let head: StoredTensor?
    /// `[vocabulary]`; no supported family has one, but fine-tuned models may.
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
                    reason: "is stored as \(type.rawValue); cast it to a floating-point type first")
            }
        }
    }

    var all: [StoredTensor] { [embedding, head, headBias].compactMap(\.self) }

    /// Whether a tensor of any group has a row for each token: one of these, its moment, or the scales of its moment.
    func haveRows(of tensor: StoredTensor) -> Bool {
        all.contains {
            let (name, other) = ($0.description.name, tensor.description.name)
            return other == name || (tensor.group != .weights && other == name + "_scale")
        }
    }

    var rows: Int { embedding.description.shape[0] }
}
