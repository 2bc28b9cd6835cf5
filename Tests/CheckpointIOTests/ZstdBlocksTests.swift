import CZstd
import CheckpointIO
import Testing

@Suite struct ZstdBlocksTests {
    private func isClear(_ frame: [UInt8], headerSize: Int) -> Bool {
        frame.withUnsafeBytes { ZstdBlocks.areReservedBitsClear($0, headerSize: headerSize) }
    }

    /// Sixteen bytes, 1 and 0 in turns, by libzstd; version 1.5.4 decodes the frame with either value of the byte.
    @Test func reservedBitsAreFound() {
        let frame: [UInt8] = [
            0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x10, 0x45, 0x00, 0x00, 0x10, 0x01, 0x00, 0x01, 0x00, 0xC9, 0x0E, 0x0B,
        ]
        #expect(isClear(frame, headerSize: 6))
        for bit: UInt8 in [1, 2] {
            var changed = frame
            changed[13] |= bit
            #expect(!isClear(changed, headerSize: 6))
        }
        for count in 0..<frame.count { #expect(!isClear(Array(frame[..<count]), headerSize: 6)) }
    }

    /// All forms of literals and sequences that libzstd writes.
    @Test(arguments: [-1000, -5, 1, 3, 9, 19]) func framesOfLibzstdAreClear(level: Int32) {
        var state: UInt64 = 1
        func random(_ limit: UInt64) -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: (state >> 33) % limit)
        }
        for size in [1, 2, 16, 40, 300, 2_000, 20_000, 200_000, 400_000] {
            for limit in [1, 2, 5, 40, 256] as [UInt64] {
                let noise = (0..<size).map { _ in random(limit) }
                for content in [noise, (0..<size).map { noise[$0 % min(size, 700)] &+ UInt8($0 / 9_000) }] {
                    var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(size))
                    let count = ZSTD_compress(&frame, frame.count, content, size, level)
                    var header = ZSTD_frameHeader()
                    #expect(ZSTD_getFrameHeader(&header, frame, count) == 0)
                    #expect(isClear(Array(frame[..<count]), headerSize: Int(header.headerSize)))
                }
            }
        }
    }
}
