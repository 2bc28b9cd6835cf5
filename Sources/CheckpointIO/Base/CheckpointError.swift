import Glibc
import OrderedJSON

/// Why a checkpoint could not be read or written; `description` is one line with file, place, problem and remedy.
public enum CheckpointError: Error, CustomStringConvertible, Equatable {
    /// The operating system refused an operation.
    case system(path: String, operation: String, code: Int32)
    /// The output file exists already.
    case exists(path: String)
    /// The content contradicts the format or itself: the file is damaged, truncated or forged.
    case damaged(path: String, place: String, problem: String)
    /// The file is well-formed but contains something that a checkpoint does not have.
    case unsupported(path: String, place: String, problem: String)
    /// The path is a folder, or a file of another format of models.
    case notACheckpoint(path: String, what: String, remedy: String)
    /// The file was written by a later version of the format.
    case newerVersion(path: String, version: Int)
    /// The file keeps only what an adapter changes, and its base model is not where it was or has changed.
    case missingBase(path: String, base: String, digest: String, reason: String)
    /// The file is a delta, and the state that it changes is not where it was or is another.
    case missingDeltaBase(path: String, base: String, digest: String, reason: String)
    /// The file has no tensor of that name.
    case noTensor(path: String, name: String)
    /// The caller passed invalid data to the writer, or a buffer of the wrong size to the reader.
    case invalid(name: String, problem: String)

    /// The error in one line; control characters in names and paths are escaped.
    public var description: String { text.onOneLine(limit: 4000) }

    private var text: String {
        switch self {
        case .system(let path, let operation, let code):
            "\(path): cannot \(operation): \(String(cString: strerror(code)).lowercased())\(Self.hint(for: code))"
        case .exists(let path):
            "\(path): already exists; choose another name or overwrite it with --force"
        case .damaged(let path, let place, let problem):
            "\(path): \(place.onOneLine()): \(problem.onOneLine()); restore the file from a copy or make it again"
        case .unsupported(let path, let place, let problem):
            "\(path): \(place.onOneLine()): \(problem.onOneLine()); this is not a checkpoint that ckpt can read"
        case .notACheckpoint(let path, let what, let remedy): "\(path): is \(what), not a checkpoint; \(remedy)"
        case .newerVersion(let path, let version):
            "\(path): format_version is \(version), this ckpt reads up to \(CheckpointLayout.version); use a newer ckpt"
        case .missingBase(let path, let base, let digest, let reason):
            "\(path): keeps only an adapter; its weights need the base model \(base) (weights_digest "
                + "\(digest.prefix(12))…), \(reason); put the base there, or beside this file"
        case .missingDeltaBase(let path, let base, let digest, let reason):
            "\(path): is a delta; it needs the state \(base) (digest \(digest.prefix(12))…), \(reason); put that "
                + "state there, or beside this file, or give it to `ckpt apply`"
        case .noTensor(let path, let name):
            "\(path): has no tensor \(name.onOneLine(limit: 200)); `ckpt inspect --tensors` lists them"
        case .invalid(let name, let problem):
            "\(name.onOneLine(limit: 200)): \(problem.onOneLine())"
        }
    }

    private static func hint(for code: Int32) -> String {
        switch code {
        case ENOSPC, EDQUOT: "; free some space or choose another folder"
        case ENOENT: "; check the path"
        case EACCES, EPERM, EROFS: "; check permissions or choose another folder"
        default: ""
        }
    }
}
