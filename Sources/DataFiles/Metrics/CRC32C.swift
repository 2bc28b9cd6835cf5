/// CRC-32 with the Castagnoli polynomial, as TFRecord masks it.
package enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82F6_3B78) }
    }

    package static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let crc = ~bytes.reduce(~0 as UInt32) { crc, byte in
            crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)]
        }
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }
}
