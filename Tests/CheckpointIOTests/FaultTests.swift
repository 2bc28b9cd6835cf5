import CheckpointIO
import Foundation
import TestSupport
import Testing

/// A save that fails or is killed at any of its system calls leaves the complete old file or the complete new one.
///
/// `CKPT_KILL_TRIALS` sets the number of saves that are killed at a random moment.
@Suite(.serialized) struct FaultTests {
    private static let killTrials = ProcessInfo.processInfo.environment["CKPT_KILL_TRIALS"].flatMap(Int.init) ?? 20
    private static let megabytes = "4"

    /// The program of bench/io, built beside the tests.
    private static let saver = Command.product("io-bench")

    /// Saves over `path` with a fault at one system call; the status is 0 if the save makes fewer such calls.
    private func save(_ path: String, seed: Int, library: String, _ call: String, at: Int, with: Int) throws -> Int32 {
        let environment = [
            "LD_PRELOAD": library, "FAIL_CALL": call, "FAIL_AT": String(at), "FAIL_WITH": String(with),
        ]
        let result = try Command.run(
            Self.saver, ["random", path, Self.megabytes, String(seed)], environment: environment)
        if result.status == 2 {
            #expect(result.errors.contains("io-bench: \(path): cannot"), "\(result.errors)")
        }
        return result.status
    }

    private func makeLibrary(in folder: String) throws -> String {
        try Command.preloadLibrary(fixturesFolder().appending(path: "fail_call.c"), in: folder)
    }

    @Test(arguments: ["write", "truncate", "fsync", "rename"], [Int(ENOSPC), Int(EIO)])
    func everyFailingCallIsReported(call: String, code: Int) throws {
        try withTemporaryPath { folder in
            let library = try makeLibrary(in: folder)
            let target = folder + "/target"
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
            let path = target + "/model.h5"
            try #require(try Command.run(Self.saver, ["random", path, Self.megabytes, "1"]).status == 0)
            let old = try CheckpointFile(path: path).digest
            var failures = 0
            for at in 1...200 {
                let status = try save(path, seed: 2, library: library, call, at: at, with: code)
                if status == 0 { break }
                #expect(status == 2)
                failures += 1
                // The folder's fsync follows the rename: the new file is in place, but perhaps not durable.
                let file = try CheckpointFile(path: path)
                #expect(file.digest == old || (call == "fsync" && at == 2))
                #expect(try file.verify().isEmpty)
                #expect(try FileManager.default.contentsOfDirectory(atPath: target) == ["model.h5"])
                if file.digest != old { break }
            }
            #expect(failures > 0 || call == "truncate")
        }
    }

    @Test func shortWritesAreCompleted() throws {
        try withTemporaryPath { folder in
            let library = try makeLibrary(in: folder)
            let path = folder + "/model.h5"
            for at in [1, 2, 3, 5, 8] {
                #expect(try save(path, seed: 3, library: library, "write", at: at, with: 0) == 0)
                #expect(try CheckpointFile(path: path).verify().isEmpty)
            }
        }
    }

    @Test func killedAtEveryCall() throws {
        try withTemporaryPath { folder in
            let library = try makeLibrary(in: folder)
            let path = folder + "/model.h5"
            try #require(try Command.run(Self.saver, ["random", path, Self.megabytes, "1"]).status == 0)
            let old = try CheckpointFile(path: path).digest
            for (call, limit) in [("write", 200), ("fsync", 1), ("rename", 1)] {
                for at in 1...limit {
                    let status = try save(path, seed: 2, library: library, call, at: at, with: -1)
                    if status == 0 {
                        #expect(at > 1)
                        try #require(try Command.run(Self.saver, ["random", path, Self.megabytes, "1"]).status == 0)
                        break
                    }
                    #expect(try CheckpointFile(path: path).digest == old)
                }
            }
            // After the rename, at the folder's fsync, the new file is in place.
            _ = try save(path, seed: 2, library: library, "fsync", at: 2, with: -1)
            #expect(try CheckpointFile(path: path).verify().isEmpty)
            #expect(try CheckpointFile(path: path).digest != old)
        }
    }

    @Test func killedAtRandomMoments() throws {
        try withTemporaryPath { folder in
            let path = folder + "/model.h5"
            var digests: [String] = []
            for seed in 1...2 {
                try #require(try Command.run(Self.saver, ["random", path, Self.megabytes, "\(seed)"]).status == 0)
                digests.append(try CheckpointFile(path: path).digest)
            }
            for trial in 0..<Self.killTrials {
                let process = Command.process(Self.saver, ["random", path, Self.megabytes, String(1 + trial % 2)])
                process.standardOutput = FileHandle.nullDevice
                try process.run()
                usleep(UInt32.random(in: 0..<200_000))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                let file = try CheckpointFile(path: path)
                #expect(digests.contains(file.digest))
                #expect(try file.verify().isEmpty)
            }
        }
    }
}
