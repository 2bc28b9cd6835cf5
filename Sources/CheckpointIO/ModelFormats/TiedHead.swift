import OrderedJSON

/// The output head that shares the embedding's values.
enum TiedHead {
    static let head = "lm_head.weight"
    static let embedding = "model.embed_tokens.weight"

    /// What is tied, and the tensors without the tied ones.
    ///
    /// A head stored although the configuration ties it is dropped where its bytes equal the embedding's; where they
    /// differ, nobody can say which is meant, and the model is refused.
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
        var start = 0
        while start < head.byteCount {
            let range = start..<min(start + step, head.byteCount)
            let left = try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                try source.read(
                    embedding, range: range,
                    into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<range.count])
                )
                count = range.count
            }
            let right = try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                try source.read(
                    Self.head, range: range,
                    into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<range.count])
                )
                count = range.count
            }
            guard left == right else { return false }
            start = range.upperBound
        }
        return true
    }
}

/// A source with one tensor left out.
private struct WithoutTensor: TensorSource {
    let base: any TensorSource
    let name: String

    var tensors: [TensorDescription] { base.tensors.filter { $0.name != name } }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        try base.read(name, range: range, into: destination)
    }
}
