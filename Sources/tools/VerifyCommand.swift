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

            Decodes every chunk and recomputes the SHA-256 of every tensor; names the tensor, chunk and place of damage. \
            --structure stops after structure, metadata and the list of tensors, which takes milliseconds.

            Exit status: 0 all whole, 1 damage found, 2 a file cannot be read or is no checkpoint. A file that \
            bears ckpt's marks but is not what ckpt writes counts as damaged.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoints to check.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var paths: [String]

    @Flag(help: "Check structure and metadata only.")
    var structure = false

    @Flag(help: "Print the result as JSON (schemas/verify-report.schema.json).")
    var json = false

    mutating func run() throws {
        var reports: [VerifyReport] = []
        for path in paths {
            let report = try report(path)
            if !json { for line in report.lines { print(line) } }
            reports.append(report)
        }
        if json { print(JSON.array(reports.map(\.json)).serialized(indent: 2)) }
        if reports.contains(where: { !$0.damages.isEmpty }) { throw ExitCode(1) }
    }

    /// Damage is a result; that a file cannot be read at all is an error.
    private func report(_ path: String) throws -> VerifyReport {
        do {
            let file = try CheckpointFile(path: path)
            let tensors = TensorGroup.allCases.flatMap { file.tensors(in: $0) }
            var report = VerifyReport(
                path: path, isDeep: !structure, digest: file.digest, tensorCount: tensors.count,
                byteCount: tensors.reduce(0) { $0 + $1.description.byteCount })
            guard !structure else { return report }
            let bar = ProgressBar("verifying", total: report.byteCount, unit: .bytes)
            defer { bar.finish() }
            report.damages = try file.verify { bar.update($0) }
            return report
        } catch CheckpointError.damaged(_, let place, let problem) {
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        } catch CheckpointError.unsupported(_, let place, let problem) where CheckpointSignature.isFound(in: path) {
            // What no checkpoint has, in a file that ckpt wrote: it is no longer what was written.
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        }
    }
}

/// What was found out about one file.
private struct VerifyReport {
    var path: String
    var isDeep: Bool
    /// Nil where the damage keeps the file from being opened.
    var digest: String?
    var tensorCount = 0
    var byteCount = 0
    var damages: [Damage] = []

    var lines: [String] {
        guard damages.isEmpty else {
            return ["\(Style.bold(path))  \(Style.red("damaged"))"] + damages.map { "  \($0)" }
                + ["  restore the file from a copy or make it again"]
        }
        let extent = isDeep ? "every byte" : "structure"
        return [
            "\(Style.bold(path))  \(Style.green("whole"))  \(extent) of \(tensorCount) tensors, "
                + "\(Format.bytes(byteCount)), digest \(Format.shortDigest(digest ?? ""))"
        ]
    }

    var json: JSON {
        var members = JSONObject()
        members["path"] = .string(path)
        members["depth"] = .string(isDeep ? "bytes" : "structure")
        members["whole"] = .bool(damages.isEmpty)
        members["digest"] = digest.map(JSON.string) ?? .null
        members["tensors"] = .integer(tensorCount)
        members["bytes"] = .integer(byteCount)
        members["damages"] = .array(
            damages.map { damage in
                var members = JSONObject()
                members["place"] = .string(damage.place)
                members["tensor"] = damage.tensor.map(JSON.string) ?? .null
                members["chunk"] = damage.chunk.map(JSON.integer) ?? .null
                members["offset"] = damage.fileOffset.map(JSON.integer) ?? .null
                members["problem"] = .string(damage.problem)
                return .object(members)
            })
        return .object(members)
    }
}
