import ArgumentParser
import CheckpointIO
import Foundation

/// `-o` and `--force`, for every command that writes a file.
struct OutputOptions: ParsableArguments {
    @Option(name: [.short, .customLong("output")], help: "Where to write the result.", completion: .file())
    var output: String

    @Flag(help: "Replace the output if it exists.")
    var force = false

    /// Checks the output before any work is done.
    ///
    /// - Throws: `OutputError` if the output exists and `--force` was not given, or if its folder does not exist;
    ///   `CheckpointError` if it is a symbolic link.
    func check() throws {
        try OutputError.refuse(existing: output, replacing: force)
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

    /// Refuses a file that exists, unless it is to be replaced, and a symbolic link in any case.
    ///
    /// - Throws: `.exists`, or `CheckpointError` for a link.
    static func refuse(existing path: String, replacing: Bool) throws {
        try AtomicFile.refuseLink(at: path)
        if !replacing, FileManager.default.fileExists(atPath: path) { throw exists(path) }
    }

    var description: String {
        switch self {
        case .exists(let path): "\(path): already exists; give --force to replace it"
        case .noFolder(let path, let folder): "\(path): its folder \(folder) does not exist; create it first"
        }
    }
}
