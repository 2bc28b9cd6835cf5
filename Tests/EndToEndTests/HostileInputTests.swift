import Foundation
import TestSupport
import Testing

/// `ckpt` refuses the hostile files of CheckpointIOTests within a second and 200 MB, with one line.
@Suite struct HostileInputTests {
    static let files = repositoryRoot.appending(path: "Tests/CheckpointIOTests/Fixtures/hostile")

    @Test func eachIsRefusedQuicklyWithLittleMemory() throws {
        let folder = try TemporaryFolder()
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.files.path).sorted()
        #expect(names.count > 30)
        // These two are HDF5 files of other programs, which a process of their own reads.
        for name in names where !["latest-format.h5", "not-ckpt.h5"].contains(name) {
            let start = ContinuousClock.now
            // Limits private memory to 200 MB; one thread, because OpenBLAS allocates buffers for each.
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

    /// `verify` reports damage to a checkpoint as damage even if it makes the structure unreadable.
    @Test func aDamagedCheckpointIsNotAForeignFile() throws {
        let folder = try TemporaryFolder()
        let whole = try TinyRun.made.get().folder
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: whole.path("tokens.h5"))))
        // Damage to the superblock makes the file look like another format.
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
