import CheckpointIO
import Foundation
import TestSupport
import Testing

/// SHA-256 of one message, and of two at a time as in `TensorEncoder`.
@Suite struct HashTests {
    private func digest(_ bytes: [UInt8], in folder: String) throws -> String {
        let path = folder + "/bytes"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return try FileDigest.sha256(path: path)
    }

    /// NIST's examples for FIPS 180-4, and lengths near block boundaries hashed by another implementation.
    @Test(arguments: [
        ([UInt8](), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (Array("abc".utf8), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
        ([UInt8](repeating: 1, count: 55), "5e3283e916d3c42f5b9658a063ca78fa46aac2e127367680558cfa71910bf61d"),
        ([UInt8](repeating: 1, count: 63), "436e67acc91d21a771e22ee2a88b8f6cf4103f983841fe5476221114dc8a7c58"),
        ([UInt8](repeating: 1, count: 64), "7c8975e1e60a5c8337f28edf8c33c3b180360b7279644a9bc1af3c51e6220bf5"),
        ([UInt8](repeating: 1, count: 65), "dc7156746a46cbe6edfaceb4ccfb9b27fc7250d2608a991848cfec6f62f39932"),
    ])
    func knownMessages(bytes: [UInt8], expected: String) throws {
        let found = try withTemporaryPath { try digest(bytes, in: $0) }
        #expect(found == expected)
    }

    /// Tensors of different lengths, whose chunks are hashed in pairs, have the same digests as when hashed alone.
    @Test func tensorsHashedInPairs() throws {
        let counts = [1, 3, 20_001, 40_000, 300_007, 600_000, 1_300_001, 2_000_000]
        let contents = counts.enumerated().map { index, count in
            (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* (2 * index + 3)) >> 3 ^ $0 >> 11) }
        }
        let tensors = zip(counts, contents).map { count, bytes in
            Samples.tensor("tensor\(count)", .uint8, [count], bytes)
        }
        try withTemporaryPath { folder in
            let path = folder + "/model.h5"
            _ = try CheckpointWriter.write(
                CheckpointMetadata(config: "{}"), tensors: tensors, to: path, overwrite: false)
            let file = try CheckpointFile(path: path)
            for (count, bytes) in zip(counts, contents) {
                let stored = try #require(file.tensors().first { $0.description.name == "tensor\(count)" })
                let expected = try digest(bytes, in: folder)
                #expect(stored.sha256 == expected)
            }
        }
    }
}
