/// A row of a vocabulary matrix that moved further than others.
package struct MovedRow: Sendable {
    package let tensor: String
    package let id: Int
    package let text: String
    /// ‖B − A‖ of the row.
    package let change: Float

    /// The rows of each vocabulary matrix that moved most, in descending order.
    static func largest(
        in tensors: [TensorComparison], count: Int = 10, tokenText: (Int) -> String
    ) -> [MovedRow] {
        tensors.flatMap { tensor -> [MovedRow] in
            guard let changes = tensor.rowChanges else { return [] }
            let rows = changes.indices.filter { changes[$0] > 0 }.sorted {
                (changes[$1], $0) < (changes[$0], $1)
            }
            return rows.prefix(count).map {
                MovedRow(tensor: tensor.name, id: $0, text: tokenText($0), change: changes[$0])
            }
        }
    }
}
