import Glibc
import OrderedJSON

/// Why a checkpoint could not be written or read. Each description is one line: file, place, problem, remedy.
public enum CheckpointError: Error, CustomStringConvertible, Equatable {
    /// The operating system refused an operation.
    case system(path: String, operation: String, code: Int32)
    /// The file is there and would have to be replaced.
    case exists(path: String)
    /// The content contradicts the format or itself: damaged, cut short, or forged.
    case damaged(path: String, place: String, problem: String)
    /// Well-formed as far as seen, but something that a checkpoint does not contain.
    case unsupported(path: String, place: String, problem: String)
    /// Written by a later ckpt.
    case newerVersion(path: String, version: Int)
    /// No tensor of that name.
    case noTensor(path: String, name: String)
    /// What was handed to the writer, or a buffer handed to the reader, does not fit.
    case invalid(name: String, problem: String)

    /// One line, whatever the path holds.
    public var description: String { text.onOneLine(limit: 4000) }

    private var text: String {
        switch self {
        case .system(let path, let operation, let code):
            "\(path): cannot \(operation): \(String(cString: strerror(code)).lowercased())\(Self.hint(for: code))"
        case .exists(let path):
            "\(path): exists already; choose another name or overwrite it with --force"
        case .damaged(let path, let place, let problem):
            "\(path): \(place.onOneLine()): \(problem.onOneLine()); restore the file from a copy or make it again"
        case .unsupported(let path, let place, let problem):
            "\(path): \(place.onOneLine()): \(problem.onOneLine()); this is no checkpoint that ckpt can read"
        case .newerVersion(let path, let version):
            "\(path): format_version is \(version), this ckpt reads up to \(CheckpointLayout.version); use a newer ckpt"
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
