import DataFiles

/// The file and the row that a problem or a pair comes from; empty if it is not from a file.
///
/// Any two are equal: a problem is the same wherever it stands.
package struct RowOrigin: Sendable, Equatable {
    package let path: String
    package let position: RowPosition?

    package init(path: String = "", position: RowPosition? = nil) {
        self.path = path
        self.position = position
    }

    package static func == (left: RowOrigin, right: RowOrigin) -> Bool { true }

    /// The file and the row, for messages about a row with this id; nil if it is not from a file.
    func text(id: String) -> String? {
        guard let position else { return nil }
        let name = id == String(position.number) ? "" : " (\(id))"
        return "\(path == "-" ? "standard input" : path), \(position)\(name)"
    }
}
