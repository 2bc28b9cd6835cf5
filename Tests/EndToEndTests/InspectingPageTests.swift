import Foundation
import Testing

/// The commands of docs/inspecting.md that need Debian's HDF5 tools only, run as they are printed. The page's Python is
/// run by scripts/check-inspecting.py.
@Suite struct InspectingPageTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The folder of a quickstart, with the states of the tiny run under the names that the page uses.
    private func quickstart() throws -> (outer: Folder, folder: URL) {
        let run = try TinyRun.made.get().folder
        let outer = try Folder()
        let folder = outer.url.appendingPathComponent(".build/quickstart")
        let files = FileManager.default
        for name in ["sft", "rl"] {
            try files.createDirectory(at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
        }
        try files.createSymbolicLink(
            at: outer.url.appendingPathComponent("scripts"),
            withDestinationURL: Self.root.appendingPathComponent("scripts"))
        for (from, to) in [
            ("sft/step-000006.h5", "sft/step-001000.h5"), ("rl/step-000001.h5", "rl/step-000060.h5"),
            ("rl/step-000004.h5", "rl/step-000220.h5"),
        ] { try files.copyItem(atPath: run.path(from), toPath: folder.appendingPathComponent(to).path) }
        return (outer, folder)
    }

    @Test func commandsRunAsPrinted() throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("docs/inspecting.md"), encoding: .utf8)
        let blocks = page.components(separatedBy: "```sh\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
        // The tiny run has two layers, the quickstart three.
        let lines = blocks.flatMap { $0.split(separator: "\n") }.map { $0.replacing("layers/2/", with: "layers/1/") }
        #expect(lines.count > 15)
        let (outer, folder) = try quickstart()
        var environment = ""
        for line in lines {
            if line.hasPrefix("export ") {
                environment += line.replacing("$PWD", with: folder.path) + "; "
                continue
            }
            let result = try Command.run(
                "/bin/bash", ["-c", "cd '\(folder.path)'; unset HDF5_PLUGIN_PATH; \(environment)\(line)"], in: outer)
            // h5diff exits with 1 where it finds differences.
            #expect(
                result.status == 0 || (line.hasPrefix("h5diff") && result.status == 1),
                "\(line): \(result.status) \(result.errors)")
            #expect(!result.errors.contains("error"), "\(line): \(result.errors)")
        }
    }

    @Test func theWarningIsTrue() throws {
        // A tensor large enough to be compressed, changed everywhere; no plugin.
        let (outer, folder) = try quickstart()
        for (seed, name) in [("1", "a.h5"), ("2", "b.h5")] {
            let made = try Command.ckpt(
                "init", "-o", folder.appendingPathComponent(name).path, "--hidden-size", "128", "--seed", seed,
                in: outer)
            #expect(made.status == 0, "\(made.errors)")
        }
        func diff(_ flag: String) throws -> CommandResult {
            try Command.run(
                "/usr/bin/env",
                [
                    "HDF5_PLUGIN_PATH=/nonexistent", "/usr/bin/h5diff", flag,
                    folder.appendingPathComponent("a.h5").path, folder.appendingPathComponent("b.h5").path,
                    "/weights/model/layers/0/mlp/gate_proj/weight",
                ], in: outer)
        }
        // The attributes differ (the digest does); of the values it says that nothing differs.
        let plain = try diff("-r")
        let values = plain.output.components(separatedBy: "attribute:").first ?? ""
        #expect(!values.contains("dataset:") || values.contains("\n0 differences found"), "\(plain.output)")
        let told = try diff("-v")
        #expect((told.output + told.errors).contains("cannot be read, user defined filter is not available"))
    }
}
