/// Parts of paths, as text.
enum FilePath {
    /// The folder of a file; `.` without one.
    static func folder(of path: String) -> String { AtomicFile.folder(of: path) }

    /// The last component of a path.
    static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// A file in a folder; the folder `.` is left out.
    static func join(_ folder: String, _ name: String) -> String {
        if folder == "." || folder.isEmpty { return name }
        return folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }
}
