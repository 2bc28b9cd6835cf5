import Foundation

/// A new folder that is removed when the last reference to it goes away.
package final class TemporaryFolder: Sendable {
    package let url: URL

    /// Creates the folder.
    ///
    /// - Parameter inMemory: asks for a file system in memory, if the system has one, for tests that save very often.
    /// - Throws: if the folder cannot be created.
    package init(inMemory: Bool = false) throws {
        let shared = "/dev/shm"
        let parent =
            inMemory && FileManager.default.isWritableFile(atPath: shared)
            ? URL(filePath: shared) : FileManager.default.temporaryDirectory
        url = parent.appending(path: "ckpt-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    package var path: String { url.path }

    /// The path of `name` in the folder.
    package func path(_ name: String) -> String { url.appending(path: name).path }

    /// Writes `text` to the file `name` and returns the path of the file.
    @discardableResult
    package func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: url.appending(path: name))
        return path(name)
    }

    /// The sorted names of the entries of the folder, or of one of its subfolders.
    package func names(in subfolder: String = ".") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(subfolder)).sorted()
    }
}

/// Runs `body` with the URL of a new folder, which is removed afterwards.
package func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = try TemporaryFolder()
    return try withExtendedLifetime(folder) { try body(folder.url) }
}

/// Runs `body` with the path of a new folder, which is removed afterwards.
package func withTemporaryPath<Result>(_ body: (String) throws -> Result) throws -> Result {
    try withTemporaryFolder { try body($0.path) }
}
