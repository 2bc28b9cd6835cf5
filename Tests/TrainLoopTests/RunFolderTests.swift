import Foundation
import TestSupport
import Testing
import TrainLoop

@Suite struct RunFolderTests {
    @Test func oneProcessTrainsInAFolder() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("run")
        do {
            let first = try RunFolder(creating: path, replacing: false)
            try "{}\n".write(toFile: first.metricsPath, atomically: false, encoding: .utf8)
            // Each opening takes its own lock, like another process.
            for attempt in [
                { try RunFolder(resuming: path) }, { try RunFolder(creating: path, replacing: true) },
            ] {
                let error = #expect(throws: RunFolderError.self) { try attempt() }
                #expect(error?.description.contains("another process is training in this folder") == true)
            }
            // Not even --force removes the logs of a run in progress.
            #expect(FileManager.default.fileExists(atPath: first.metricsPath))
            // Reading needs no lock.
            #expect(RunFolder(existing: path).steps().isEmpty)
            withExtendedLifetime(first) {}
        }
        _ = try RunFolder(resuming: path)
        _ = try RunFolder(creating: path, replacing: true)
    }

    @Test func onlyAFolderWithAStateIsResumed() throws {
        let folder = try TemporaryFolder()
        let missing = folder.path("none")
        #expect(
            failure { _ = try RunFolder(resuming: missing) } == missing + ": there is no such folder; check the path")
        let file = try folder.write("", to: "file")
        #expect(
            failure { _ = try RunFolder(resuming: file) }
                == file + ": is not a folder; give the folder of a run")
        let empty = try RunFolder(creating: folder.path("empty"), replacing: false)
        func refusal(_ folder: RunFolder) -> String { failure { _ = try folder.newestState(of: "train-sft") { _ in } } }
        #expect(
            refusal(empty)
                == folder.path("empty")
                + ": the run ended before its first state; start it again with the command that began it")
        let other = folder.path("")
        #expect(
            refusal(RunFolder(existing: other)).hasSuffix(
                ": is not the folder of a run: it has no step-*.h5; give --resume the folder that was -o"))
    }

    @Test func aRunThatDidNothingLeavesNothing() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("run")
        let run = try RunFolder(creating: path, replacing: false)
        try folder.write("", to: "run/metrics.jsonl")
        try folder.write("own", to: "run/notes.txt")
        run.removeIfNothingWasDone()
        #expect(try folder.names(in: "run") == ["notes.txt"])

        try folder.write("{}\n", to: "run/metrics.jsonl")
        run.removeIfNothingWasDone()
        #expect(try folder.names(in: "run") == ["metrics.jsonl", "notes.txt"])
    }
}
