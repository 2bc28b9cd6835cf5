/// A token's row that moved further than others.
public struct MovedRow: Sendable {
    public let tensor: String
    public let id: Int
    public let text: String
    /// ‖B − A‖ of the row.
    public let change: Float

    /// The rows that moved most in each vocabulary matrix, furthest first.
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
