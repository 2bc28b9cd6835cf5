import CHDF5
import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Files that are made to attack a reader: each is refused quickly, with a one-line error.
@Suite struct HostileFileTests {
    static let fixtures = fixturesFolder().path

    /// Files made by Fixtures/make_fixtures.py, and a part of each error.
    static let table: [(file: String, error: String)] = [
        ("big-endian", "a floating-point type other than"),
        ("chunk-bomb", "chunks of more than 64 MiB"),
        ("compound", "a datatype of class compound"),
        ("config-is-number", "record_digest"),
        ("contiguous-bomb", "its data were never written"),
        ("control-character", "a member's name is not one that a checkpoint uses"),
        ("cumulative-bomb", "its tensors would be 1000 times as large as the file"),
        ("cycle", "linked 2 times"),
        ("dangling-soft-link", "soft link"),
        ("deep", "nested deeper than 32"),
        ("dotdot", "a member's name is not one that a checkpoint uses"),
        ("dotted-part", "has a dot in its name"),
        ("empty", "too short"),
        ("external-link", "links as messages"),
        ("external-storage", "external files"),
        ("fletcher", "the filters 3"),
        ("frame-claims-terabyte", "declares 1099511627776 bytes"),
        ("gzip", "the filters 1"),
        ("latest-format", "superblock has version 3"),
        ("missing-chunk", "its data were never written"),
        ("newer-version", "format_version is 2, this ckpt reads up to 1; use a newer ckpt"),
        ("no-sha256", "has no sha256"),
        ("not-ckpt", "format=\"ckpt\""),
        ("opaque", "a datatype of class opaque"),
        ("shape-bomb", "calls for more chunks than the file can hold"),
        ("soft-link", "soft link"),
        ("tensor-of-text", "a tensor of texts"),
        ("text", "is not an HDF5 file"),
        ("twice-linked", "linked 2 times"),
        ("unknown-attribute", "has an attribute extra"),
        ("unknown-object", "/extra"),
        ("variable-text", "variable length"),
        ("virtual-dataset", "layout has version 4"),
    ]

    @Test(arguments: table.map(\.file)) func isRefused(name: String) throws {
        let expected = try #require(Self.table.first { $0.file == name }).error
        let start = ContinuousClock.now
        let error = #expect(throws: CheckpointError.self) {
            try CheckpointFile(path: "\(Self.fixtures)/hostile/\(name).h5")
        }
        #expect(ContinuousClock.now - start < .seconds(1))
        let description = try #require(error).description
        #expect(description.contains(expected), "\(description)")
        #expect(!description.contains("\n"))
    }

    @Test func everyFixtureIsInTheTable() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.fixtures + "/hostile")
        #expect(files.map { String($0.dropLast(3)) }.sorted() == Self.table.map(\.file).sorted())
    }

    /// A cycle with forged reference counts, which only the check of overlapping ranges detects.
    @Test func forgedCycleIsRefused() throws {
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: Self.fixtures + "/hostile/cycle.h5")))
        // The root's object header follows the superblock; the reference count is at offset 4.
        #expect(bytes[100] == 2)
        bytes[100] = 1
        try refuse(bytes, saying: "overlap")
    }

    @Test func groupWithAMillionMembersIsRefused() throws {
        try withTemporaryPath { folder in
            let path = folder + "/million.h5"
            try Self.writeManyLinks(path, count: 300_000)
            let start = ContinuousClock.now
            let error = #expect(throws: CheckpointError.self) { try CheckpointFile(path: path) }
            #expect(ContinuousClock.now - start < .seconds(2))
            #expect(try #require(error).description.contains("too many members"))
        }
    }

    @Test func foldersAndDevicesAreRefused() {
        #expect(throws: CheckpointError.self) { try CheckpointFile(path: "/") }
        #expect(throws: CheckpointError.self) { try CheckpointFile(path: "/dev/zero") }
        let error = #expect(throws: CheckpointError.self) { try CheckpointFile(path: "/nowhere/a.h5") }
        #expect(error?.description == "/nowhere/a.h5: cannot open it: no such file or directory; check the path")
        let broken = #expect(throws: CheckpointError.self) { try CheckpointFile(path: "/no\nwhere/a.h5") }
        #expect(broken?.description.hasPrefix(#"/no\u{a}where/a.h5: cannot open it"#) == true)
    }

    /// Writes hard links to one dataset; no other test calls libhdf5, which is not thread-safe.
    private static func writeManyLinks(_ path: String, count: Int) throws {
        let file = H5Fcreate(path, 0x2, 0, 0)
        let space = H5Screate(H5S_SCALAR)
        let group = H5Gcreate2(file, "weights", 0, 0, 0)
        let dataset = H5Dcreate2(group, "t0", ckpt_h5t_int8(), space, 0, 0, 0)
        for number in 1..<count { H5Lcreate_hard(dataset, ".", group, "t\(number)", 0, 0) }
        H5Gclose(group)
        H5Dclose(dataset)
        H5Sclose(space)
        try #require(H5Fclose(file) >= 0)
    }

    private func refuse(_ bytes: [UInt8], saying: String) throws {
        try withTemporaryPath { folder in
            let path = folder + "/forged.h5"
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: CheckpointError.self) { try CheckpointFile(path: path) }
            let description = try #require(error).description
            #expect(description.contains(saying), "\(description)")
        }
    }
}
