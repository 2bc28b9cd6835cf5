import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Every flipped bit and every truncation is detected, or does not affect what is read; nothing crashes or hangs.
///
/// `CKPT_DAMAGE_TRIALS` sets the number of flips; there are a fifth as many truncations. Both are at random places.
@Suite struct DamageTests {
    static let trials = ProcessInfo.processInfo.environment["CKPT_DAMAGE_TRIALS"].flatMap(Int.init) ?? 1500

    @Test func flippedBitsAreFound() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder, tensors: Samples.smallTensors())
            let original = try CheckpointFile(path: path)
            let handle = try #require(FileHandle(forUpdatingAtPath: path))
            // Records and structure follow the tensors.
            let end = original.fileByteCount
            let tensors = TensorGroup.allCases.flatMap { original.tensors(in: $0) }
            let metadata = (tensors.flatMap(\.storedRanges).map(\.upperBound).max() ?? 0)..<end
            var found = 0
            for trial in 0..<Self.trials {
                let offset = UInt64(trial % 2 == 0 ? Int.random(in: 0..<end) : Int.random(in: metadata))
                let bit = UInt8.random(in: 0..<8)
                try handle.seek(toOffset: offset)
                let byte = try #require(try handle.read(upToCount: 1))[0]
                try write(byte ^ (1 << bit), at: offset, handle)
                if try isFound(path, original) {
                    found += 1
                } else {
                    try #require(try readsTheSame(path, original), "byte \(offset), bit \(bit)")
                }
                try write(byte, at: offset, handle)
            }
            // The others hit a compressor's level, a text's character set, or the padding before the structure.
            #expect(found > Self.trials * 95 / 100)
        }
    }

    /// Fields that the reader could do without, but that make other readers refuse the file; every bit is flipped.
    @Test(arguments: StructureField.allCases) func fieldsOfOtherReadersAreChecked(field: StructureField) throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder, tensors: Samples.smallTensors())
            let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            let place = try #require(field.offset(in: bytes))
            var isFoundOnOpening = false
            for bit in 0..<8 {
                var damaged = bytes
                damaged[place] ^= 1 << bit
                let target = folder + "/damaged.h5"
                try Data(damaged).write(to: URL(fileURLWithPath: target))
                do {
                    // A value that is possible, but not the one that ckpt writes.
                    #expect(try CheckpointFile(path: target).verify().map(\.place) == ["the structure"], "bit \(bit)")
                } catch let error as CheckpointError {
                    #expect(error.description.contains(field.message), "bit \(bit): \(error)")
                    isFoundOnOpening = true
                }
            }
            #expect(isFoundOnOpening)
        }
    }

    /// A file of ckpt is compared byte for byte, including bytes that no reader uses; other files are not.
    @Test func unusedBytesOfTheStructureAreCompared() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder, tensors: Samples.smallTensors())
            var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            // The last child of the first B-tree node of a group, which has few members.
            let node = try #require(StructureField.first("TREE\u{0}", in: bytes))
            let place = node + 24 + 31 * 16 + 8
            #expect(bytes[place] == 0)
            bytes[place] = 4
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let file = try CheckpointFile(path: path)
            let damages = try file.verify()
            #expect(damages.map(\.place) == ["the structure"])
            #expect(damages.map(\.fileOffset) == [place])
            #expect(damages.first?.problem.hasPrefix("1 byte is not what ckpt writes") == true)
        }
    }

    @Test func truncatedFilesAreRefused() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder, tensors: Samples.smallTensors())
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let cut = folder + "/cut.h5"
            for trial in 0..<Self.trials / 5 {
                let length = trial < 20 ? bytes.count - 1 - trial : Int.random(in: 0..<bytes.count)
                try bytes.prefix(length).write(to: URL(fileURLWithPath: cut))
                #expect(throws: CheckpointError.self) { try CheckpointFile(path: cut) }
            }
            try (bytes + [0]).write(to: URL(fileURLWithPath: cut))
            #expect(throws: CheckpointError.self) { try CheckpointFile(path: cut) }
        }
    }

    @Test func damageIsLocated() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let file = try CheckpointFile(path: path)
            let tensor = try #require(file.tensor("model.embed_tokens.weight"))
            let place = try #require(tensor.chunkRange(2))
            let handle = try #require(FileHandle(forUpdatingAtPath: path))
            try write(0x55, at: UInt64(place.lowerBound + 1000), handle)
            let damages = try file.verify()
            #expect(damages.map(\.tensor) == ["model.embed_tokens.weight"])
            #expect(damages.map(\.chunk) == [2])
            #expect(damages.map(\.fileOffset) == [place.lowerBound])
            var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
            let error = #expect(throws: CheckpointError.self) {
                try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
            }
            #expect(
                error?.description.contains(
                    "/weights/model/embed_tokens/weight, chunk 2 at byte \(place.lowerBound)") == true)
        }
    }

    /// Whether opening or verifying reports damage.
    private func isFound(_ path: String, _ original: CheckpointFile) throws -> Bool {
        do {
            return try !CheckpointFile(path: path).verify().isEmpty
        } catch is CheckpointError {
            return true
        }
    }

    private func readsTheSame(_ path: String, _ original: CheckpointFile) throws -> Bool {
        let file = try CheckpointFile(path: path)
        return file.metadata == original.metadata && file.digest == original.digest
            && TensorGroup.allCases.allSatisfy { group in
                let tensors = file.tensors(in: group)
                return tensors.map(\.description) == original.tensors(in: group).map(\.description)
                    && tensors.map(\.sha256) == original.tensors(in: group).map(\.sha256)
            }
    }

    private func write(_ byte: UInt8, at offset: UInt64, _ handle: FileHandle) throws {
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data([byte]))
    }
}

/// A byte of a structure, named as in the HDF5 specification.
enum StructureField: String, CaseIterable {
    case leftSibling, rightSibling, firstKey, heapFreeList, cachedTree, fillVersion, fillSize

    /// A part of the error.
    var message: String {
        switch self {
        case .leftSibling, .rightSibling: "sibling"
        case .firstKey: "heap"
        case .heapFreeList: "free space"
        case .cachedTree: "its parent names another symbol table"
        case .fillVersion, .fillSize: "fill value"
        }
    }

    /// The offset of a byte of the field in a file of ckpt.
    func offset(in bytes: [UInt8]) -> Int? {
        switch self {
        case .leftSibling: Self.first("TREE\u{0}", in: bytes).map { $0 + 8 }
        case .rightSibling: Self.first("TREE\u{0}", in: bytes).map { $0 + 16 }
        case .firstKey: Self.first("TREE\u{0}", in: bytes).map { $0 + 30 }
        case .heapFreeList: Self.first("HEAP", in: bytes).map { $0 + 16 }
        case .cachedTree: 80
        // The message's header of eight bytes: type 5, 8 bytes long, constant.
        case .fillVersion: Self.first([5, 0, 8, 0, 1, 0, 0, 0, 2, 2, 1, 1], in: bytes).map { $0 + 8 }
        case .fillSize: Self.first([5, 0, 8, 0, 1, 0, 0, 0, 2, 2, 1, 1], in: bytes).map { $0 + 12 }
        }
    }

    static func first(_ text: String, in bytes: [UInt8]) -> Int? { first(Array(text.utf8), in: bytes) }

    private static func first(_ pattern: [UInt8], in bytes: [UInt8]) -> Int? {
        bytes.firstRange(of: pattern)?.lowerBound
    }
}
