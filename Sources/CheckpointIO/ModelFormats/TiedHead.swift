import OrderedJSON

/// An output head that is tied to the embedding.
enum TiedHead {
    static let head = "lm_head.weight"
    static let embedding = "model.embed_tokens.weight"

    /// The ties of a model, and a source without the tied tensors.
    ///
    /// If the configuration ties the head but the file contains one, the head is dropped if it equals the embedding.
    /// Otherwise the model is ambiguous and refused.
    static func resolve(
        _ source: any TensorSource, isTied: Bool, path: String, _ notes: inout [String]
    ) throws -> (tied: [String: String], tensors: any TensorSource) {
        guard let embeddingTensor = source.tensors.first(where: { $0.name == embedding }) else { return ([:], source) }
        let headTensor = source.tensors.first { $0.name == head }
        guard isTied else {
            guard headTensor != nil else {
                throw ModelFormatError.missing(
                    path: path, what: "tensor \(quoted(head)) although tie_word_embeddings is not true",
                    remedy: "set tie_word_embeddings to true if the model has no head of its own")
            }
            return ([:], source)
        }
        guard let headTensor else { return ([head: embedding], source) }
        guard headTensor.shape == embeddingTensor.shape, headTensor.elementType == embeddingTensor.elementType,
            try source.holdsEqual(headTensor, embedding, of: source)
        else {
            throw ModelFormatError.malformed(
                path: path, place: "tie_word_embeddings",
                reason: "is true, but \(head) differs from \(embedding); set it to false to keep the separate head, "
                    + "or remove the head")
        }
        notes.append("\(head) equals \(embedding) and is stored once")
        return ([head: embedding], SelectedTensors(source) { $0.name == head ? nil : $0.name })
    }
}
