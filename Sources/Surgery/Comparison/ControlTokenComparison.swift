/// How a control token's rows changed.
package struct ControlTokenComparison: Sendable {
    /// One row of a matrix in A and B.
    package struct Row: Sendable {
        /// nil if A has no such row, or if the matrices are identical and were not read.
        package let normA: Float?
        /// nil if B has no such row, or if the matrices are identical and were not read.
        package let normB: Float?
        /// ‖B − A‖ / ‖A‖; 0 if the matrices are identical, nil if either has no such row.
        package let relativeChange: Double?
        package let cosine: Double?
        /// The tokens of B with the highest cosine to the row; empty if the matrix was not read.
        package let neighbors: [Neighbor]
    }

    package struct Neighbor: Sendable {
        package let id: Int
        package let text: String
        package let cosine: Float
    }

    package let name: String
    package let idA: Int?
    package let idB: Int?
    package private(set) var embedding: Row?
    /// nil if the head is tied.
    package private(set) var head: Row?

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
