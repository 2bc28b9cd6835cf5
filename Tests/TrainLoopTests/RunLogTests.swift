import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop

@Suite struct MetricsLogTests {
    @Test func rowsAreWrittenAtOnce() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("metrics.jsonl")
        let log = try MetricsLog(path: path, resumingAfter: 0)
        try log.append(step: 1, ["loss": 0.5, "ppo_kl": .nan])
        #expect(
            try String(contentsOfFile: path, encoding: .utf8) == "{\"step\":1,\"loss\":0.5,\"ppo_kl\":null}\n")
    }

    @Test func resumingDropsRowsAfterTheState() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "{\"step\":1,\"a\":1e-3}\n{\"step\":2}\n{\"step\":3}\n{\"step\":", to: "metrics.jsonl")
        let log = try MetricsLog(path: path, resumingAfter: 2)
        try log.append(step: 3, ["a": 1])
        #expect(
            try String(contentsOfFile: path, encoding: .utf8)
                == "{\"step\":1,\"a\":1e-3}\n{\"step\":2}\n{\"step\":3,\"a\":1}\n")
        let again = try MetricsLog(path: path, resumingAfter: 3)
        try again.append(step: 4, [:])
        #expect(try String(contentsOfFile: path, encoding: .utf8).hasSuffix("{\"step\":3,\"a\":1}\n{\"step\":4}\n"))
        #expect(throws: DataFileError.self) {
            try MetricsLog(path: folder.path("no/such/metrics.jsonl"), resumingAfter: 0)
        }
    }
}

@Suite struct TensorBoardLogTests {
    /// The bytes that TensorFlow's protocol buffers and record writer produce for the same events.
    ///
    /// `Fixtures/make_tensorboard.py` makes them, and also reads this writer's files with TensorBoard.
    @Test func bytesOfTheReference() throws {
        let folder = try TemporaryFolder()
        let log = try TensorBoardLog(folder: folder.path("tb"), resumingAt: 300) { 1_700_000_000.25 }
        try log.append(step: 300, ["loss": 0.125, "α": -1e-9])
        try log.append(step: 301, ["loss": .nan])
        let fixture = fixturesFolder().appending(path: "tensorboard.events")
        #expect(try Data(contentsOf: URL(filePath: log.path)) == Data(contentsOf: fixture))
        // A second file within the same second gets another name.
        let other = try TensorBoardLog(folder: folder.path("tb")) { 1_700_000_000.25 }
        #expect(other.path != log.path)
    }
}
