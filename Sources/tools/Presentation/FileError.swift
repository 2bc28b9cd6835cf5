/// Puts the name of a file before the description of an error that does not name it.
struct FileError: Error, CustomStringConvertible {
    let description: String

    static func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw FileError(description: "\(path): \(error)") }
    }
}
