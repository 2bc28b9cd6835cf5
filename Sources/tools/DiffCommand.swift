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
            ckpt diff rl/ --html report.html

            Two files are compared: architecture, tokenizer, lineage, tensors, control tokens, mode preference and what \
            the run's metrics did in between. A run's folder, or more than two files, shows the whole curve; two folders, two curves side by side.

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

    @Option(
        help: ArgumentHelp("Also write the report as one self-contained page with plots.", valueName: "file"))
    var html: String?

    @Flag(help: "Replace the page if it exists.")
    var force = false

    mutating func run() throws {
        if let html, !force, FileManager.default.fileExists(atPath: html) { throw OutputError.exists(html) }
        let folders = paths.filter(Self.isFolder)
        if paths.count == 2, folders.isEmpty {
            try compare(paths[0], paths[1])
        } else if paths.count == 1, folders.count == 1 {
            try show([RunCurve(folder: paths[0])])
        } else if paths.count == 2, folders.count == 2 {
            try show(paths.map { try RunCurve(folder: $0) })
        } else if paths.count > 2, folders.isEmpty {
            try show([
                RunCurve(
                    files: try paths.map { try CheckpointFile(path: $0) },
                    path: "\(paths[0]) … \(paths[paths.count - 1])")
            ])
        } else {
            throw SurgeryError.badOption(
                name: "diff", reason: "give two checkpoints, one or two run folders, or more than two checkpoints")
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
        try writePage(ComparisonPage(report: report).html)
        if json {
            print(report.json.serialized(indent: 2))
        } else {
            for line in ComparisonText(report: report).lines { print(line) }
        }
        if !report.isSame { throw ExitCode(1) }
    }

    private func show(_ curves: [RunCurve]) throws {
        try writePage(CurvePage(curves: curves).html)
        if json {
            print((curves.count == 1 ? curves[0].json : .array(curves.map(\.json))).serialized(indent: 2))
        } else if curves.count == 2 {
            for line in OverlayText(a: curves[0], b: curves[1]).lines { print(line) }
        } else {
            for line in curves.flatMap({ CurveText(curve: $0).lines }) { print(line) }
        }
    }

    /// Complete or not at all: the page gets its name when it is written.
    private func writePage(_ text: @autoclosure () -> String) throws {
        guard let html else { return }
        do {
            try Data(text().utf8).write(to: URL(fileURLWithPath: html), options: .atomic)
        } catch {
            throw PageError(path: html)
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}

struct PageError: Error, CustomStringConvertible {
    let path: String

    var description: String { "\(path): the page cannot be written; check that its folder exists and is writable" }
}
