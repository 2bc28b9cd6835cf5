/// What became of a control token's rows.
public struct ControlTokenComparison: Sendable {
    /// One row on both sides. Norms are nil where the matrix did not change (its digest is equal, so it was not read)
    /// or where that side has no such row.
    public struct Row: Sendable {
        public let normA: Float?
        public let normB: Float?
        /// ‖B − A‖ / ‖A‖; 0 where the matrix is equal, nil where one side has no such row.
        public let relativeChange: Double?
        public let cosine: Double?
        /// Tokens of B whose rows point most nearly the same way; empty where the matrix was not read.
        public let neighbors: [Neighbor]
    }

    public struct Neighbor: Sendable {
        public let id: Int
        public let text: String
        public let cosine: Float
    }

    public let name: String
    public let idA: Int?
    public let idB: Int?
    public private(set) var embedding: Row?
    /// Nil where the head is tied.
    public private(set) var head: Row?

    init(name: String, idA: Int?, idB: Int?) {
        self.name = name
        self.idA = idA
        self.idB = idB
    }

    func withRows(
        from tensors: [TensorComparison], tokenText: (Int) -> String
    ) -> ControlTokenComparison {
        var result = self
        result.embedding = row(in: tensors.first { $0.name == VocabularyTensors.embeddingName }, tokenText)
        result.head = row(in: tensors.first { $0.name == VocabularyTensors.headName }, tokenText)
        return result
    }

    private func row(in tensor: TensorComparison?, _ tokenText: (Int) -> String) -> Row? {
        guard let tensor else { return nil }
        if tensor.status == .identical, idA == idB {
            return Row(normA: nil, normB: nil, relativeChange: 0, cosine: 1, neighbors: [])
        }
        let a = idA.flatMap { tensor.rows[$0]?.a }
        let b = idB.flatMap { tensor.rows[$0]?.b }
        let neighbors = (idB.flatMap { tensor.neighbors[$0] } ?? []).map {
            Neighbor(id: $0.row, text: tokenText($0.row), cosine: $0.cosine)
        }
        guard let a, let b, a.count == b.count else {
            return Row(
                normA: a.map(euclideanNorm), normB: b.map(euclideanNorm), relativeChange: nil, cosine: nil,
                neighbors: neighbors)
        }
        let statistics = a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                a.baseAddress.flatMap { left in
                    b.baseAddress.map { TensorDifference(left, $0, count: a.count) }
                } ?? TensorDifference()
            }
        }
        return Row(
            normA: euclideanNorm(a), normB: euclideanNorm(b), relativeChange: statistics.relativeChange,
            cosine: statistics.cosine, neighbors: neighbors)
    }
}
