import Foundation

/// A finished run of a program.
struct CommandResult {
    let status: Int32
    let output: String
    let errors: String
}

/// The built `ckpt`, beside the test bundle, and stock tools.
enum Command {
    static let ckptPath: String = {
        // .build/<triple>/release/ckptPackageTests.xctest stands beside the tool.
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let beside = bundle.appendingPathComponent("ckpt").path
        if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(".build/release/ckpt").path
    }()

    @discardableResult
    static func ckpt(_ arguments: String..., in folder: Folder) throws -> CommandResult {
        try run(ckptPath, arguments, in: folder)
    }

    static func process(_ path: String, _ arguments: [String], in folder: Folder) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = folder.url
        process.environment = ProcessInfo.processInfo.environment.merging(["NO_COLOR": "1"]) { $1 }
        return process
    }

    static func run(_ path: String, _ arguments: [String], in folder: Folder) throws -> CommandResult {
        let process = process(path, arguments, in: folder)
        // Files, not pipes: a pipe that fills up while nobody reads would stop the program.
        let output = folder.url.appendingPathComponent(".stdout-\(UUID().uuidString)")
        let errors = folder.url.appendingPathComponent(".stderr-\(UUID().uuidString)")
        defer {
            try? FileManager.default.removeItem(at: output)
            try? FileManager.default.removeItem(at: errors)
        }
        for file in [output, errors] { try Data().write(to: file) }
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return CommandResult(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }
}

/// A temporary folder that goes with its last user.
final class Folder: Sendable {
    let url: URL

    /// - Parameter inMemory: where the system has a file system in memory, for tests that save over and over.
    init(inMemory: Bool = false) throws {
        let shared = "/dev/shm"
        let parent =
            inMemory && FileManager.default.isWritableFile(atPath: shared)
            ? URL(fileURLWithPath: shared) : FileManager.default.temporaryDirectory
        url = parent.appendingPathComponent("ckpt-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: url.appendingPathComponent(name))
    }

    /// Visible names, sorted.
    func names(in subfolder: String = ".") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(subfolder)).filter { !$0.hasPrefix(".std") }.sorted()
    }
}
