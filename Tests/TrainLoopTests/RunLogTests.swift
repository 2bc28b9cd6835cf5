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

@Suite struct DamagedMetricsTests {
    @Test func wholeRowsAreKeptAndTheDamagedFileToo() throws {
        let folder = try TemporaryFolder()
        var bytes = Data("{\"step\":1,\"a\":1}\n{\"step\":2,\"a\":{\"step\":3,\"a\":3}\n".utf8)
        bytes += Data(count: 30) + Data("\n{\"step\":4,\"a\":\"".utf8) + Data([0xff, 0xfe]) + Data("\"}\n".utf8)
        bytes += Data("{\"step\":1,\"a\":1}\n{\"step\":5,\"a\":5}\n{\"step\":6,\"a\":6}\n".utf8)
        let path = folder.path("metrics.jsonl")
        for name in ["metrics.jsonl.damaged", "metrics.jsonl.damaged.1"] {
            try bytes.write(to: URL(filePath: path))
            let log = try MetricsLog(path: path, resumingAfter: 5)
            #expect(log.damage.lines == 7 && log.damage.damaged == 3 && log.damage.repeated == 1)
            #expect(
                try String(contentsOfFile: path, encoding: .utf8)
                    == "{\"step\":1,\"a\":1}\n{\"step\":3,\"a\":3}\n{\"step\":5,\"a\":5}\n")
            #expect(try Data(contentsOf: URL(filePath: folder.path(name))) == bytes)
        }
        // A kill in the middle of a write is no damage.
        try Data("{\"step\":1}\n{\"st".utf8).write(to: URL(filePath: path))
        #expect(try MetricsLog(path: path, resumingAfter: 5).damage.damaged == 0)
        #expect(try folder.names().count == 3)
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
