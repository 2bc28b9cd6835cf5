import Foundation
import TestSupport
import Testing

/// The hostile files of CheckpointIOTests through the built `ckpt`: refused in a second, within 200 MB, with one line.
@Suite struct HostileInputTests {
    static let files = repositoryRoot.appending(path: "Tests/CheckpointIOTests/Fixtures/hostile")

    @Test func eachIsRefusedQuicklyAndInLittleMemory() throws {
        let folder = try TemporaryFolder()
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.files.path).sorted()
        #expect(names.count > 30)
        for name in names {
            let start = ContinuousClock.now
            // Private memory may not grow past 200 MB; a second core's share of OpenBLAS's buffers has no part in this.
            let result = try Command.run(
                "/bin/sh",
                [
                    "-c", "ulimit -d 200000; OPENBLAS_NUM_THREADS=1 exec \"$0\" inspect \"$1\"", Command.ckptPath,
                    Self.files.appending(path: name).path,
                ], in: folder)
            #expect(result.status == 2, "\(name): status \(result.status)")
            #expect(ContinuousClock.now - start < .seconds(1), "\(name) takes long")
            #expect(result.errors.hasPrefix("ckpt: error: ") && result.errors.split(separator: "\n").count == 1)
            #expect(result.errors.contains(name), "\(result.errors)")
        }
    }

    /// Damage to the bytes of a checkpoint is a finding of verify, also where it makes the structure unreadable.
    @Test func damageToACheckpointIsNoForeignFile() throws {
        let folder = try TemporaryFolder()
        let whole = try TinyRun.made.get().folder
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: whole.path("tokens.h5"))))
        // In the superblock: what makes the file look like something else.
        for (name, offset) in [("signature", 1), ("version", 8), ("offset size", 13)] {
            var changed = bytes
            changed[offset] ^= 4
            try Data(changed).write(to: folder.url.appendingPathComponent("changed.h5"))
            let result = try Command.ckpt("verify", "changed.h5", in: folder)
            #expect(result.status == 1, "\(name): \(result.errors)")
            #expect(result.output.contains("damaged"))
            #expect(try Command.ckpt("inspect", "changed.h5", in: folder).status == 2)
        }
        for count in [0, 50] {
            try Data(bytes.prefix(count)).write(to: folder.url.appendingPathComponent("changed.h5"))
            #expect(try Command.ckpt("verify", "changed.h5", in: folder).status == 2)
        }
        try Data(bytes.dropLast()).write(to: folder.url.appendingPathComponent("changed.h5"))
        #expect(try Command.ckpt("verify", "changed.h5", in: folder).status == 1)
    }
}
