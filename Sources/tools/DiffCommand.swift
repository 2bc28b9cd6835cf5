import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Surgery

struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what training or surgery changed between checkpoints.",
        discussion: """
            ckpt diff tokens.h5 sft/step-000020.h5
            ckpt diff rl/

            Two files are compared: architecture, tokenizer, lineage, tensors, control tokens, mode preference and what \
            the run's metrics did in between. A run's folder, or more than two files, shows the whole curve.

            Exit status: 0 the same model, 1 different, 2 an error. A curve exits 0.
            """)

    @Argument(help: ArgumentHelp("Two checkpoints, a run's folder, or several checkpoints.", valueName: "path"))
    var paths: [String]

    @Option(
        name: .customLong("tensor"),
        help: ArgumentHelp("Compare only tensors of that name; * stands for anything.", valueName: "pattern"))
    var pattern: String?

    @Flag(help: "Print the report as JSON.")
    var json = false

    mutating func run() throws {
        let folders = paths.filter(Self.isFolder)
        if paths.count == 2, folders.isEmpty {
            try compare(paths[0], paths[1])
        } else if paths.count == 1, folders.count == 1 {
            try show(RunCurve(folder: paths[0]))
        } else if paths.count > 2, folders.isEmpty {
            try show(
                RunCurve(
                    files: try paths.map { try CheckpointFile(path: $0) },
                    path: "\(paths[0]) … \(paths[paths.count - 1])"))
        } else {
            throw SurgeryError.badOption(
                name: "diff", reason: "give two checkpoints, a run's folder, or more than two checkpoints")
        }
    }

    private func compare(_ pathA: String, _ pathB: String) throws {
        let a = try CheckpointFile(path: pathA)
        let b = try CheckpointFile(path: pathB)
        var options = ComparisonOptions()
        if let pattern {
            let pattern = NamePattern(pattern)
            options.includesTensor = { pattern.matches($0) }
        }
        let bar = ProgressBar("comparing", total: CheckpointComparison.byteCount(a, b), unit: .bytes)
        let report = try CheckpointComparison.compare(a, b, options: options, progress: { bar.update($0) })
        bar.finish()
        if json {
            print(report.json.serialized(indent: 2))
        } else {
            for line in ComparisonText(report: report).lines { print(line) }
        }
        if !report.isSame { throw ExitCode(1) }
    }

    private func show(_ curve: RunCurve) throws {
        if json {
            print(curve.json.serialized(indent: 2))
        } else {
            for line in CurveText(curve: curve).lines { print(line) }
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
