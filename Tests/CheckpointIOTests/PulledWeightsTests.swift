import CZstd
import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Versions for servers that pull weights: what slime's reader does with them gives the new weights.
@Suite struct PulledWeightsTests {
    private struct Model: TensorSource {
        var bytes: [String: [UInt8]]
        var type = ElementType.bfloat16

        var tensors: [TensorDescription] {
            bytes.map {
                TensorDescription(name: $0, elementType: type, shape: [$1.count / type.byteCount])
            }
        }

        func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
            destination.copyBytes(from: bytes[name, default: []][range])
        }
    }

    private static let old = Model(bytes: [
        "model.norm.weight": Samples.bytes(600, seed: 1), "model.embed_tokens.weight": Samples.bytes(300_000, seed: 2),
        "model.same": Samples.bytes(40, seed: 3),
    ])

    private static var new: Model {
        var model = old
        model.bytes["model.norm.weight"]?[7] ^= 0x80
        for index in stride(from: 0, to: 300_000, by: 110) { model.bytes["model.embed_tokens.weight"]?[index] &+= 1 }
        return model
    }

    /// Adler-32 as RFC 1950 defines it.
    private func adler32(_ bytes: [UInt8]) -> UInt32 {
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return b << 16 | a
    }

    @Test func readerArrivesAtTheNewWeights() throws {
        try withTemporaryPath { folder in
            let parent = folder + "/weights"
            let written = try PulledWeights.write(Self.new, since: Self.old, version: 7, in: parent)
            #expect(written.path == parent + "/weight_v000007")
            #expect(written.changedTensorCount == 2 && written.tensorCount == 3)
            let index = try JSON.parse(
                String(contentsOfFile: written.path + "/model.safetensors.index.json", encoding: .utf8))
            #expect(
                index["metadata"] == [
                    "version": "000007", "base_version": "000006", "delta_encoding": "xor",
                    "compression_format": "zstd", "checksum_format": "adler32",
                ])
            var weights = Self.old.bytes
            for name in ["model.embed_tokens.weight", "model.norm.weight"] {
                let file = try #require(index["weight_map"]?[name]?.string)
                let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: written.path + "/" + file)))
                let headerSize = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
                let header = try JSON.parse(String(decoding: bytes[8..<8 + headerSize], as: UTF8.self))
                let offsets = try #require(header[name]?["data_offsets"]?.array).compactMap(\.int)
                #expect(header[name]?["dtype"]?.string == "U8")
                let frame = Array(bytes[(8 + headerSize + offsets[0])..<(8 + headerSize + offsets[1])])
                var change = [UInt8](repeating: 0, count: weights[name]?.count ?? 0)
                #expect(ZSTD_decompress(&change, change.count, frame, frame.count) == change.count)
                for place in change.indices { weights[name]?[place] ^= change[place] }
                let checksum = try #require(header["__metadata__"]?[name]?.string)
                #expect(checksum.count == 8 && UInt32(checksum, radix: 16) == adler32(weights[name] ?? []))
            }
            #expect(weights == Self.new.bytes)
            #expect("\(index)".contains("model.same") == false)
        }
    }

    @Test func refusesWhatServersCannotPull() throws {
        try withTemporaryPath { folder in
            var other = Self.new
            other.bytes["model.extra"] = [1, 2]
            #expect(throws: ModelFormatError.self) {
                try PulledWeights.write(other, since: Self.old, version: 1, in: folder + "/a")
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
            // An unchanged model is a version too.
            let same = try PulledWeights.write(Self.old, since: Self.old, version: 1, in: folder)
            #expect(same.changedTensorCount == 0)
            let error = #expect(throws: ModelFormatError.self) {
                try PulledWeights.write(Self.new, since: Self.old, version: 1, in: folder)
            }
            #expect(error?.description.contains("publish the next number") == true)
        }
    }
}
