import Foundation

/// The outcome of a finished process.
package struct CommandResult {
    package let status: Int32
    package let output: String
    package let errors: String
}

/// A program that could not be used because a command failed.
package struct CommandFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ command: [String], _ result: CommandResult) {
        description = "\(command.joined(separator: " ")): exit status \(result.status): \(result.errors)"
    }
}

/// Runs the programs of this package and stock tools.
package enum Command {
    package static let ckptPath = product("ckpt")

    /// The path of an executable of this package, which the build puts beside the test bundle.
    package static func product(_ name: String) -> String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        let besideBundle = URL(filePath: bundle).deletingLastPathComponent().appending(path: name).path
        return FileManager.default.isExecutableFile(atPath: besideBundle)
            ? besideBundle : repositoryRoot.appending(path: ".build/release/\(name)").path
    }

    /// A process that is ready to run, with colours switched off.
    ///
    /// `program` is a path, or a name that is looked up in `PATH`.
    package static func process(
        _ program: String, _ arguments: [String], in folder: TemporaryFolder? = nil
    ) -> Process {
        let process = Process()
        let isPath = program.contains("/")
        process.executableURL = URL(filePath: isPath ? program : "/usr/bin/env")
        process.arguments = isPath ? arguments : [program] + arguments
        if let folder { process.currentDirectoryURL = folder.url }
        process.environment = ProcessInfo.processInfo.environment.merging(["NO_COLOR": "1"]) { $1 }
        return process
    }

    /// Runs a program to its end.
    ///
    /// `program` is a path, or a name that is looked up in `PATH`.
    package static func run(
        _ program: String, _ arguments: [String], in folder: TemporaryFolder? = nil, environment: [String: String] = [:]
    ) throws -> CommandResult {
        let process = process(program, arguments, in: folder)
        process.environment?.merge(environment) { $1 }
        // Files instead of pipes: a full pipe that nobody reads would block the program.
        let captured = try TemporaryFolder()
        let (output, errors) = (try captured.write("", to: "output"), try captured.write("", to: "errors"))
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
        try process.run()
        process.waitUntilExit()
        return try withExtendedLifetime(captured) {
            // A limit of file sizes may cut a character.
            let texts = try [output, errors].map {
                String(decoding: try Data(contentsOf: URL(filePath: $0)), as: UTF8.self)
            }
            return CommandResult(status: process.terminationStatus, output: texts[0], errors: texts[1])
        }
    }

    @discardableResult
    package static func ckpt(_ arguments: String..., in folder: TemporaryFolder) throws -> CommandResult {
        try run(ckptPath, arguments, in: folder)
    }

    /// Compiles a C file to a library for `LD_PRELOAD` in `folder` and returns the path of the library.
    package static func preloadLibrary(_ source: URL, in folder: String) throws -> String {
        let library = folder + "/" + source.deletingPathExtension().lastPathComponent + ".so"
        let arguments = ["-shared", "-fPIC", "-O1", source.path, "-o", library, "-ldl"]
        let result = try run("cc", arguments)
        guard result.status == 0 else { throw CommandFailure(["cc"] + arguments, result) }
        return library
    }
}
