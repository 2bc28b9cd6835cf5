import ArgumentParser
import CheckpointIO
import OrderedJSON

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check checkpoints for damage.",
        discussion: """
            Examples:
              ckpt verify model.h5
              ckpt verify --structure rl/*.h5

            Decompresses every chunk and recomputes the SHA-256 of every tensor. Damage is reported with its tensor, \
            chunk and file offset. --structure checks only structure, metadata and the list of tensors, which takes \
            milliseconds.

            All files are checked, even if some cannot be read, and summed up in the end.

            Exit status: 0 all files are intact, 1 damage found, 2 a file cannot be read or is not a checkpoint. A \
            file that has ckpt's signature but not its structure counts as damaged.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoints to check.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var paths: [String]

    @Flag(help: "Check only structure and metadata.")
    var structure = false

    @Flag(help: "Print the result as JSON (schemas/verify-report.schema.json).")
    var json = false

    mutating func run() throws {
        var reports: [VerifyReport] = []
        for path in paths {
            do {
                let report = try report(path)
                if !json { for line in report.lines { print(line) } }
                reports.append(report)
            } catch {
                Ckpt.writeError(error)
            }
        }
        if json {
            print(json: .array(reports.map(\.json)))
        } else if paths.count > 1 {
            print(summary(reports))
        }
        if reports.count < paths.count { throw ExitCode(2) }
        if reports.contains(where: { !$0.damages.isEmpty }) { throw ExitCode(1) }
    }

    private func summary(_ reports: [VerifyReport]) -> String {
        let damaged = reports.count { !$0.damages.isEmpty }
        let unreadable = paths.count - reports.count
        return "\(Format.counted(paths.count, "file")): \(reports.count - damaged) intact"
            + (damaged > 0 ? ", \(damaged) damaged" : "") + (unreadable > 0 ? ", \(unreadable) not readable" : "")
    }

    /// Checks one file.
    ///
    /// - Throws: if the file cannot be read or is not a checkpoint; damage is part of the report.
    private func report(_ path: String) throws -> VerifyReport {
        do {
            let file = try CheckpointFile(path: path)
            let tensors = TensorGroup.allCases.flatMap { file.tensors(in: $0) }
            var report = VerifyReport(
                path: path, isDeep: !structure, digest: file.digest, tensorCount: tensors.count,
                byteCount: tensors.reduce(0) { $0 + $1.description.byteCount })
            guard !structure else {
                report.damages = try file.structureDamages()
                return report
            }
            let bar = ProgressBar("verifying", total: report.byteCount, unit: .bytes)
            defer { bar.finish() }
            report.damages = try file.verify { bar.update($0) }
            return report
        } catch CheckpointError.damaged(_, let place, let problem) {
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        } catch CheckpointError.unsupported(_, let place, let problem) where CheckpointSignature.isFound(in: path) {
            // ckpt wrote this file, but not this structure: it has been damaged since.
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        }
    }
}

/// The result for one file.
private struct VerifyReport {
    var path: String
    var isDeep: Bool
    /// Nil if the file cannot be opened because of damage.
    var digest: String?
    var tensorCount = 0
    var byteCount = 0
    var damages: [Damage] = []

    var lines: [String] {
        guard damages.isEmpty else {
            return ["\(Style.bold(path))  \(Style.red("damaged"))"] + damages.map { "  \($0)" }
                + ["  restore the file from a copy, or create it again"]
        }
        let extent = isDeep ? "every byte" : "structure"
        return [
            "\(Style.bold(path))  \(Style.green("intact"))  \(extent) of \(Format.counted(tensorCount, "tensor")), "
                + "\(Format.bytes(byteCount)), digest \(Format.shortDigest(digest ?? ""))"
        ]
    }

    var json: JSON {
        [
            "path": .string(path), "depth": .string(isDeep ? "bytes" : "structure"), "whole": .bool(damages.isEmpty),
            "digest": digest.map(JSON.string) ?? .null, "tensors": .integer(tensorCount), "bytes": .integer(byteCount),
            "damages": .array(
                damages.map { damage in
                    [
                        "place": .string(damage.place), "tensor": damage.tensor.map(JSON.string) ?? .null,
                        "chunk": damage.chunk.map(JSON.integer) ?? .null,
                        "offset": damage.fileOffset.map(JSON.integer) ?? .null, "problem": .string(damage.problem),
                    ]
                }),
        ]
    }
}
