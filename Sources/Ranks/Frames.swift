import Foundation

/// Values as bytes, and several blocks of bytes as one.
enum Frames {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        // A property list has an array or a dictionary at its root.
        return Array(try encoder.encode([value]))
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
        try PropertyListDecoder().decode([Value].self, from: Data(bytes))[0]
    }

    /// The length of each block as 8 bytes, then its bytes.
    static func join(_ blocks: [[UInt8]]) -> [UInt8] {
        var joined: [UInt8] = []
        for block in blocks {
            withUnsafeBytes(of: UInt64(block.count).littleEndian) { joined.append(contentsOf: $0) }
            joined += block
        }
        return joined
    }

    /// - Throws: `RankError.mpi` if the bytes are not joined blocks.
    static func split(_ bytes: [UInt8]) throws -> [[UInt8]] {
        var blocks: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count >= 8 else { throw RankError.mpi("a message ends early") }
            let length = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            rest = rest.dropFirst(8)
            guard length <= UInt64(rest.count) else { throw RankError.mpi("a message ends early") }
            blocks.append(Array(rest.prefix(Int(length))))
            rest = rest.dropFirst(Int(length))
        }
        return blocks
    }
}
