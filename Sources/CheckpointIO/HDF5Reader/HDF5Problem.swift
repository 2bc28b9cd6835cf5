/// What the strict reader found wrong, before it is known in which file and object.
struct HDF5Problem: Error {
    enum Kind {
        /// The bytes contradict the format: damage.
        case damaged
        /// Valid HDF5, but nothing that a checkpoint may contain.
        case unsupported
    }

    var kind: Kind
    var text: String

    static func damaged(_ text: String) -> HDF5Problem { HDF5Problem(kind: .damaged, text: text) }
    static func unsupported(_ text: String) -> HDF5Problem { HDF5Problem(kind: .unsupported, text: text) }

    /// The error that a caller of the library sees.
    func located(path: String, place: String) -> CheckpointError {
        switch kind {
        case .damaged: .damaged(path: path, place: place, problem: text)
        case .unsupported: .unsupported(path: path, place: place, problem: text)
        }
    }
}
