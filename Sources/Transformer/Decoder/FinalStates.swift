import CheckpointIO

/// The normed hidden states of a model for all tokens of some texts, and access to the head that maps them to logits.
///
/// The model itself need not stay in memory, so that two models can be compared that do not fit together.
package struct FinalStates: Sendable {
    /// `[tokens, width]`, in the order of the sequences.
    let values: [Float]
    let width: Int
    let vocabularySize: Int
    let readHead: @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void

    /// The largest number of tokens in a batch, unless a single sequence has more.
    private static let tokensAtOnce = 4096

    /// Computes the states with `parameters`, the weights of `file`.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package init(_ file: CheckpointFile, _ parameters: ModelParameters, _ sequences: [[Int]]) throws {
        let configuration = parameters.configuration
        let name = configuration.tiesWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
        guard let head = file.tensor(name) ?? file.metadata.tiedTensors[name].flatMap({ file.tensor($0) }) else {
            throw ParameterError.missing(path: file.path, name: name)
        }
        let (type, rowWidth) = (head.description.elementType, configuration.hiddenSize)
        try self.init(parameters, sequences) { rows, destination in
            let rowBytes = rowWidth * type.byteCount
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: rows.count * rowBytes, alignment: 64)
            defer { bytes.deallocate() }
            try file.read(head, range: rows.lowerBound * rowBytes..<rows.upperBound * rowBytes, into: bytes)
            try ElementConversion.toFloat32(UnsafeRawBufferPointer(bytes), type, into: destination)
        }
    }

    /// Computes the states of all sequences.
    ///
    /// - Parameters:
    ///   - parameters: the weights of the model.
    ///   - sequences: token ids.
    ///   - readHead: reads a range of the head's rows into memory `[rows, width]`.
    /// - Throws: `ConfigurationError.tokenOutsideVocabulary`
    package init(
        _ parameters: ModelParameters, _ sequences: [[Int]],
        readHead: @escaping @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        let configuration = parameters.configuration
        try configuration.check(sequences.flatMap(\.self))
        let model = Model(parameters)
        width = configuration.hiddenSize
        vocabularySize = configuration.vocabularySize
        var values: [Float] = []
        values.reserveCapacity(sequences.reduce(0) { $0 + $1.count } * width)
        var rest = sequences[...]
        while let first = rest.popFirst() {
            var batch = [first]
            var size = first.count
            while let next = rest.first, size + next.count <= Self.tokensAtOnce {
                batch.append(next)
                size += next.count
                rest = rest.dropFirst()
            }
            values += model.finalStates(PackedBatch(batch.filter { !$0.isEmpty }))
        }
        self.values = values
        self.readHead = readHead
    }
}

extension Model {
    /// The normed hidden states of all tokens `[tokens, hidden]`.
    func finalStates(_ batch: PackedBatch) -> [Float] {
        guard !batch.tokens.isEmpty else { return [] }
        return withHiddenStates(batch) { parts in
            let hidden = configuration.hiddenSize
            var result = [Float](repeating: 0, count: batch.tokens.count * hidden)
            result.withUnsafeMutableBufferPointer { result in
                guard let output = result.baseAddress else { return }
                for part in parts {
                    for place in part.places {
                        RMSNorm.forward(
                            .everyone, rows: place.count, width: hidden, part.pass.hidden + place.here * hidden,
                            stride: hidden, weight: weights.finalNorm,
                            epsilon: Float(configuration.rmsNormEpsilon), into: output + place.whole * hidden,
                            outputStride: hidden)
                    }
                }
            }
            return result
        }
    }
}
