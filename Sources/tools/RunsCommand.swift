import ArgumentParser
import DataFiles
import Foundation
import OrderedJSON
import TrainLoop

struct RunsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs",
        abstract: "List the runs below a folder.",
        discussion: """
            Examples:
              ckpt runs .
              ckpt runs . --json

            A line for each folder that holds a run: its stage and step, how it ended, and its last metrics. Runs of \
            other trainers (TRL, LLaMA-Factory, verl, prime-rl) are listed too. `ckpt inspect RUN` shows one of them, \
            with what resumes it.
            """)

    @Argument(help: ArgumentHelp("Where to search.", valueName: "folder"), completion: .directory)
    var folder: String

    @Flag(help: "Print the list as JSON (schemas/runs-report.schema.json).")
    var json = false

    mutating func run() throws {
        let found = try RunFinder.runs(below: folder) { RunStatus.isRun($0) || TrainerRun.isRun($0) }
        guard !found.paths.isEmpty else {
            throw FileError(
                description: "\(folder): has no folder of a run below it; give one that has, or ckpt inspect a model")
        }
        if !found.isComplete { Terminal.warn("\(folder): has too many folders; some were not searched") }
        let runs = try found.paths.compactMap { path -> (any RunLine)? in
            guard !RunStatus.isRun(path) else { return RunText(status: try RunStatus(path: path)) }
            do {
                return try TrainerRunText(path: path)
            } catch let error as DataFileError {
                // The log of one run does not hide the others.
                Terminal.warn("\(error)")
                return nil
            }
        }
        if json {
            print(json: ["kind": "runs", "folder": .string(folder), "runs": .array(runs.map(\.json))])
        } else {
            print(lines: RunTable(runs: runs, folder: folder).lines(width: Terminal.outputColumns))
        }
    }
}

/// Runs as a table, whose metrics take what is left of the width.
struct RunTable {
    let runs: [any RunLine]
    let folder: String

    func lines(width: Int) -> [String] {
        var rows = [["run", "stage", "step", "ended", "changed"]]
        for run in runs {
            rows.append([
                name(run), run.stage, run.progress.replacing(" of ", with: "/"), run.endingWord,
                Format.briefDuration(max(Date().timeIntervalSince1970 - run.changed, 0)) + " ago",
            ])
        }
        var widths = rows[0].indices.map { column in rows.map { $0[column].cells }.max() ?? 0 }
        let rest = widths.dropFirst().reduce(0) { $0 + $1 + 2 }
        widths[0] = min(widths[0], max(width - rest, 8))
        var lines: [String] = []
        for (index, row) in rows.enumerated() {
            var cells = [Format.column(row[0].cutStart(toCells: widths[0]), widths[0])]
            cells += row.indices.dropFirst().map { Format.column(row[$0], widths[$0], alignRight: $0 == 2) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            lines.append(index == 0 ? Style.faint(line) : line)
            guard index > 0 else { continue }
            // As many metrics as the line holds.
            var metrics = "  "
            for metric in runs[index - 1].metrics {
                let longer = metrics + (metrics == "  " ? "" : ", ") + metric
                if longer.cells > width { break }
                metrics = longer
            }
            if metrics != "  " { lines.append(Style.faint(metrics)) }
        }
        return lines
    }

    /// The path below the folder that was searched.
    private func name(_ run: any RunLine) -> String {
        let prefix = folder.hasSuffix("/") ? folder : folder + "/"
        return run.path.hasPrefix(prefix) ? String(run.path.dropFirst(prefix.count)) : run.path
    }
}
