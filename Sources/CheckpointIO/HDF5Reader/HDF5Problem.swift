/// A problem found by the reader before the file and object are known.
enum HDF5Problem: Error {
    /// The bytes contradict the format.
    case damaged(String)
    /// Valid HDF5 that a checkpoint must not contain.
    case unsupported(String)

    /// The same problem, attributed to a part of the object.
    func prefixed(_ part: String) -> HDF5Problem {
        switch self {
        case .damaged(let text): .damaged("\(part): \(text)")
        case .unsupported(let text): .unsupported("\(part): \(text)")
        }
    }

    /// The error that callers of the library see.
    func located(path: String, place: String) -> CheckpointError {
        switch self {
        case .damaged(let text): .damaged(path: path, place: place, problem: text)
        case .unsupported(let text): .unsupported(path: path, place: place, problem: text)
        }
    }
}
