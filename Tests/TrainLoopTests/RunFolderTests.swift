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
            // Each opening is a lock of its own, as another process's would be.
            for attempt in [
                { try RunFolder(resuming: path) }, { try RunFolder(creating: path, replacing: true) },
            ] {
                let error = #expect(throws: RunFolder.Failure.self) { try attempt() }
                #expect(error?.description.contains("another process is training in this folder") == true)
            }
            // Not even --force takes the logs of a run that is going on away.
            #expect(FileManager.default.fileExists(atPath: first.metricsPath))
            // Whoever only reads is not kept out.
            #expect(RunFolder(existing: path).steps().isEmpty)
            withExtendedLifetime(first) {}
        }
        _ = try RunFolder(resuming: path)
        _ = try RunFolder(creating: path, replacing: true)
    }

    @Test func aFolderThatIsNotThereHasNothingToResume() throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: RunFolder.Failure.self) {
            try RunFolder(resuming: folder.path("none")).latestTrainingState()
        }
        #expect(error?.description.contains("holds no complete checkpoint") == true)
    }
}
