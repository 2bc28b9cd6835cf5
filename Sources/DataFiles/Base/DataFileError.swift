import Glibc

/// A problem with a data file.
public struct DataFileError: Error, Equatable, CustomStringConvertible {
    /// The file, as given by the caller.
    public let path: String
    /// "line 3", "element 3" of a JSON array or "row 3" of a Parquet file; nil for problems of the whole file.
    public let place: String?
    /// The problem and its remedy, on one line.
    public let reason: String

    package init(path: String, place: String? = nil, reason: String) {
        self.path = path
        self.place = place
        self.reason = reason
    }

    /// The system's text for an error number, with a hint.
    package static func reason(_ code: Int32) -> String {
        String(cString: strerror(code)).lowercased() + (code == ENOENT ? "; check the path" : "")
    }

    /// The current `errno` as an error of writing.
    package static func cannotWrite(_ path: String) -> Self {
        Self(path: path, reason: "cannot write: \(reason(errno))")
    }

    package static func noRows(_ path: String) -> Self {
        Self(path: path, reason: "the file has no rows; give at least one")
    }

    /// The path, the place and the reason on one line.
    public var description: String {
        (path == "-" ? "standard input" : path) + (place.map { ", \($0)" } ?? "") + ": " + reason
    }
}

/// Why bytes are not what their format says; the reader of the file adds its path and the place.
struct FormatProblem: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
