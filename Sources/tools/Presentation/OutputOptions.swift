import ArgumentParser
import Foundation

/// `-o` and `--force`, for every command that writes a file.
struct OutputOptions: ParsableArguments {
    @Option(name: [.short, .customLong("output")], help: "Where to write the result.", completion: .file())
    var output: String

    @Flag(help: "Replace the output if it exists.")
    var force = false

    /// Checks the output before any work is done.
    ///
    /// - Throws: `OutputError` if the output exists and `--force` was not given, or if its folder does not exist.
    func check() throws {
        if FileManager.default.fileExists(atPath: output), !force { throw OutputError.exists(output) }
        let folder = URL(fileURLWithPath: output).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw OutputError.noFolder(output, folder)
        }
    }
}

enum OutputError: Error, CustomStringConvertible {
    case exists(String)
    case noFolder(String, String)

    var description: String {
        switch self {
        case .exists(let path): "\(path): already exists; give --force to replace it"
        case .noFolder(let path, let folder): "\(path): its folder \(folder) does not exist; create it first"
        }
    }
}
