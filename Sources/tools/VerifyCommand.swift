import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check models of any format for damage.",
        discussion: """
            Examples:
              ckpt verify model.h5
              ckpt verify --structure rl/*.h5
              ckpt verify SmolLM2-135M-Instruct/ SmolLM2-135M-Instruct.gguf
              ckpt verify SmolLM2-135M-Instruct/ --manifest manifest.txt

            Of a checkpoint, decompresses every chunk and recomputes the SHA-256 of every tensor. Damage is reported \
            with its tensor, chunk and file offset. Of a Hugging Face folder, .safetensors or .gguf file, checks \
            headers, index, configuration and tokenizer.

            Every value is read: NaN and infinite values count as damage. Weights that are all zero, constant or \
            equal to another tensor are listed.

            --structure checks only structure, metadata and the list of tensors, which takes milliseconds.

            --manifest writes the SHA-256 of the file, or of all files below the folder, and of each tensor in \
            .safetensors and .gguf files. If the manifest exists, they are compared with it: run it before and after \
            a copy. `sha256sum -c` reads it, too. Hidden files are left out.

            All files are checked, even if some cannot be read, and summed up in the end.

            Exit status: 0 all files are intact, 1 damage found, 2 a file cannot be read or is not a model. A \
            file that has ckpt's signature but not its structure counts as damaged.
            """)

    @Argument(
        help: ArgumentHelp(
            "The models to check, each a checkpoint, folder, .safetensors or .gguf file.", valueName: "model"),
        completion: .file())
    var paths: [String]

    @Flag(help: "Check only structure and metadata.")
    var structure = false

    @Option(
        help: ArgumentHelp(
            "Compare the SHA-256 of files and tensors with this manifest; if there is none, write it.",
            valueName: "file"), completion: .file())
    var manifest: String?

    @Flag(help: "Write the manifest even if it exists.")
    var force = false

    @Flag(help: "Print the result as JSON (schemas/verify-report.schema.json).")
    var json = false

    func validate() throws {
        guard manifest != nil || !force else { throw ValidationError("--force is for --manifest") }
        guard manifest == nil || !structure else {
            throw ValidationError("--manifest reads every byte; leave out --structure")
        }
        guard manifest == nil || paths.count == 1 else {
            throw ValidationError("--manifest is for one file or folder; give one")
        }
    }

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
        guard !ModelCheck.applies(to: path) else { return try checkFiles(path) }
        var report = try checkpointReport(path)
        if manifest != nil {
            let hashed = try checkFiles(path)
            report.manifest = hashed.manifest
            report.damages += hashed.damages
        }
        return report
    }

    /// Checks files of another format, and compares or writes the manifest.
    private func checkFiles(_ path: String) throws -> VerifyReport {
        let depth = manifest.map { ModelCheck.Depth.manifest($0) } ?? (structure ? .structure : .values)
        let byteCount = try ModelCheck.byteCount(of: path, depth)
        // Without files of tensors, opening the model says what is missing.
        if byteCount == 0, manifest == nil { _ = try ModelReader.open(path) }
        let bar = ProgressBar("verifying", total: byteCount, unit: .bytes)
        defer { bar.finish() }
        var check = try ModelCheck(path, depth, progress: { bar.update($0) })
        var report = VerifyReport(path: path, isDeep: !structure)
        if let manifest {
            let isThere = access(manifest, F_OK) == 0 && !force
            if isThere {
                try check.compare(with: manifest, path)
            } else {
                try check.writeManifest(to: manifest, overwrite: force)
            }
            report.manifest = VerifyReport.Manifest(
                path: manifest, isWritten: !isThere, fileCount: check.manifest?.files.count ?? 0,
                tensorCount: check.manifest?.tensorCount ?? 0)
        }
        report.tensorCount = check.tensorCount
        report.byteCount = check.byteCount
        report.damages = check.damages
        report.remarks = check.remarks
        return report
    }

    private func checkpointReport(_ path: String) throws -> VerifyReport {
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
            let check = try ModelCheck(file) { bar.update($0) }
            report.damages = check.damages
            report.remarks = check.remarks
            return report
        } catch CheckpointError.damaged(_, let place, let problem) {
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        } catch CheckpointError.unsupported(_, let place, let problem) where CheckpointSignature.isFound(in: path) {
            // ckpt wrote this file, but not this structure: it has been damaged since.
            return VerifyReport(path: path, isDeep: !structure, damages: [Damage(place: place, problem: problem)])
        }
    }
}
