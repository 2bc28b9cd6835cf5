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
    /// - Throws: `OutputError` if the output is `-`, exists and `--force` was not given, or if its folder does not
    ///   exist; `CheckpointError` if it is a symbolic link.
    func check() throws { try Self.check(output, force: force) }

    /// Checks an output before any work is done.
    ///
    /// - Throws: as `check()`; `OutputError.isStandardOutput` for `-`.
    static func check(_ output: String, force: Bool) throws {
        guard output != "-" else { throw OutputError.isStandardOutput }
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
    case isStandardOutput

    /// Refuses a file that exists, unless it is to be replaced, and a symbolic link in any case.
    ///
    /// - Throws: `.exists`, or `CheckpointError` for a link.
    static func refuse(existing path: String, replacing: Bool) throws {
        try AtomicFile.refuseLink(at: path)
        if !replacing, FileManager.default.fileExists(atPath: path) { throw exists(path) }
    }

    var description: String {
        switch self {
        case .isStandardOutput: "-: a file is written in several places, not to standard output; give a name"
        case .exists(let path): "\(path): already exists; give --force to replace it"
        case .noFolder(let path, let folder): "\(path): its folder \(folder) does not exist; create it first"
        }
    }
}
