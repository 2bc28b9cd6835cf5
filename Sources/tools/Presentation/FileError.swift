/// An error with the name of the file in front, for errors that know only the place in it.
struct FileError: Error, CustomStringConvertible {
    let description: String

    static func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw FileError(description: "\(path): \(error)") }
    }
}
