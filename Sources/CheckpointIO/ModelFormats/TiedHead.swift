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
        _ source: any TensorSource, configuration: JSON, path: String, _ notes: inout [String]
    ) throws -> (tied: [String: String], tensors: any TensorSource) {
        guard let embeddingTensor = source.tensors.first(where: { $0.name == embedding }) else { return ([:], source) }
        let headTensor = source.tensors.first { $0.name == head }
        guard configuration["tie_word_embeddings"]?.bool ?? false else {
            guard headTensor != nil else {
                throw ModelFormatError.missing(
                    path: path, what: "tensor \(quoted(head)) although tie_word_embeddings is not true",
                    remedy: "set tie_word_embeddings to true if the model has no head of its own")
            }
            return ([:], source)
        }
        guard let headTensor else { return ([head: embedding], source) }
        guard headTensor.shape == embeddingTensor.shape, headTensor.elementType == embeddingTensor.elementType,
            try equal(source, headTensor)
        else {
            throw ModelFormatError.malformed(
                path: path, place: "tie_word_embeddings",
                reason: "is true, but \(head) differs from \(embedding); set it to false to keep the separate head, "
                    + "or remove the head")
        }
        notes.append("\(head) equals \(embedding) and is stored once")
        return ([head: embedding], WithoutTensor(base: source, name: head))
    }

    private static func equal(_ source: any TensorSource, _ head: TensorDescription) throws -> Bool {
        let step = 4 << 20
        for start in stride(from: 0, to: head.byteCount, by: step) {
            let range = start..<min(start + step, head.byteCount)
            guard try bytes(source, embedding, range) == bytes(source, Self.head, range) else { return false }
        }
        return true
    }

    private static func bytes(_ source: any TensorSource, _ name: String, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try source.read(name, range: range, into: $0) }
        return bytes
    }
}

/// A source without one of its tensors.
private struct WithoutTensor: TensorSource {
    let base: any TensorSource
    let name: String

    var tensors: [TensorDescription] { base.tensors.filter { $0.name != name } }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        try base.read(name, range: range, into: destination)
    }
}
