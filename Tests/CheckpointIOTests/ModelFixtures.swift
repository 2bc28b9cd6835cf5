import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// The committed files made by `Fixtures/make_models.py`.
enum ModelFixtures {
    static let folder = fixturesFolder().appending(path: "models")

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    static func json(_ name: String) throws -> JSON {
        try JSON.parse([UInt8](Data(contentsOf: folder.appendingPathComponent(name))))
    }

    /// Checks every tensor of `source` against a table of names, types, shapes and checksums.
    static func expect(_ source: any TensorSource, equals table: JSON, typed: Bool = true) throws {
        let expected = try #require(table.array)
        #expect(source.tensors.count == expected.count)
        for entry in expected {
            let name = try #require(entry["name"]?.string)
            let tensor = try #require(source.tensors.first { $0.name == name }, "\(name)")
            #expect(tensor.elementType.rawValue == entry["dtype"]?.string, "\(name)")
            #expect(tensor.shape == entry["shape"]?.array?.compactMap(\.int), "\(name)")
            #expect(crc32(try bytes(source, tensor)) == entry["crc32"]?.int.map(UInt32.init), "\(name)")
        }
    }

    /// Reads a tensor in uneven pieces, which do not coincide with blocks and rows.
    static func bytes(_ source: any TensorSource, _ tensor: TensorDescription) throws -> [UInt8] {
        var result = [UInt8](repeating: 0, count: tensor.byteCount)
        var start = 0
        var length = 1_000_003
        try result.withUnsafeMutableBytes { buffer in
            while start < buffer.count {
                let range = start..<min(start + length, buffer.count)
                try source.read(tensor.name, range: range, into: UnsafeMutableRawBufferPointer(rebasing: buffer[range]))
                start = range.upperBound
                length = length == 1_000_003 ? 997 : length + 61
            }
        }
        return result
    }

    static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var value: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~value
    }

    /// The description of the error that `body` throws, or nil.
    static func message(_ body: () throws -> some Any) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return "\(error)"
        }
    }
}
