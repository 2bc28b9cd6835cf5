import CZstd
import CheckpointIO
import Foundation
import Testing

/// Frames made by `DifferenceFrame`, decoded by libzstd.
@Suite struct DifferenceFrameTests {
    private struct Generator {
        var state: UInt64

        mutating func next() -> Double {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(((state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9) >> 11) / Double(1 << 53)
        }

        /// Planes in which `share` of the bytes of each, from the least significant to the most, are not zero.
        mutating func planes(_ shares: [Double], _ size: Int, largest: Int) -> [UInt8] {
            shares.reversed().flatMap { share in
                (0..<size).map { _ in next() < share ? UInt8(1 + Int(next() * Double(largest))) : 0 }
            }
        }
    }

    private func compress(_ planes: [UInt8], _ count: Int, with frame: DifferenceFrame) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: DifferenceFrame.outputBound(planes.count, planeCount: count)) {
            buffer, initialized in
            initialized = planes.withUnsafeBytes {
                frame.compress($0, planeCount: count, into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
    }

    /// Whether libzstd decodes exactly one frame with checksum to `planes`, and no reserved bit is set.
    private func decodes(_ frame: [UInt8], to planes: [UInt8]) -> Bool {
        var header = ZSTD_frameHeader()
        guard ZSTD_getFrameHeader(&header, frame, frame.count) == 0, header.checksumFlag == 1,
            ZSTD_findFrameCompressedSize(frame, frame.count) == frame.count
        else { return false }
        var decoded = [UInt8](repeating: 0xA5, count: planes.count)
        let written = ZSTD_decompress(&decoded, decoded.count, frame, frame.count)
        return written == planes.count && decoded == planes
            && frame.withUnsafeBytes { ZstdBlocks.areReservedBitsClear($0, headerSize: Int(header.headerSize)) }
    }

    private static let sizes = [1, 2, 3, 4, 5, 8, 17, 300, 1000, 4097, 131_071, 131_072, 131_073, 300_001]

    @Test(arguments: [1, 2, 4, 8]) func libzstdDecodesEveryDensityInEverySize(planeCount: Int) {
        let frame = DifferenceFrame()
        var generator = Generator(state: UInt64(planeCount))
        for size in Self.sizes {
            for share in [0, 1e-5, 1e-3, 0.01, 0.05, 0.2, 0.35, 0.6, 1] {
                let shares = (0..<planeCount).map { $0 == 0 ? share : share * generator.next() / 4 }
                let planes = generator.planes(shares, size, largest: generator.next() < 0.5 ? 2 : 255)
                #expect(decodes(compress(planes, planeCount, with: frame), to: planes), "\(size), \(share)")
            }
        }
    }

    @Test func libzstdDecodesRunsOfEveryLength() {
        let frame = DifferenceFrame()
        // Runs between single bytes, bytes in rows, and a plane that begins and ends with a run.
        for length in Array(0..<40) + [63, 64, 65, 127, 128, 129, 130, 131, 1000, 65_538, 65_539, 70_000] {
            var plane: [UInt8] = []
            for run in 0..<8 {
                plane += [UInt8](repeating: 0, count: length + run % 2)
                plane += [UInt8](repeating: 7, count: 1 + run * run * 5)
            }
            plane += [UInt8](repeating: 0, count: length)
            let planes = [UInt8](repeating: 0, count: plane.count) + plane
            #expect(decodes(compress(planes, 2, with: frame), to: planes), "\(length)")
            #expect(decodes(compress(plane, 1, with: frame), to: plane), "\(length)")
        }
    }

    /// Sparse changes by one step up or down take little more than their entropy.
    @Test(arguments: [(0.01, 1.2), (0.02, 1.2), (0.1, 1.25)]) func sizeIsNearTheEntropy(share: Double, limit: Double) {
        var generator = Generator(state: 5)
        let size = 1 << 19
        let planes = generator.planes([share, 0], size, largest: 2)
        let entropy = 0.125 * Double(size) * (-share * log2(share) - (1 - share) * log2(1 - share) + share)
        let frame = compress(planes, 2, with: DifferenceFrame())
        #expect(Double(frame.count) < limit * entropy)
    }

    /// Codes of random, equal and extreme elements, which give the second elements back from the first.
    @Test(arguments: [1, 2, 4, 8], [1, 15, 192, 1000, 4099]) func differencesAreUndone(elementSize: Int, count: Int) {
        var generator = Generator(state: UInt64(count))
        let byteCount = count * elementSize
        let old = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        let new = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        let codes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        let planes = UnsafeMutablePointer<UInt8>.allocate(capacity: byteCount)
        defer {
            for buffer in [old, new, codes] { buffer.deallocate() }
            planes.deallocate()
        }
        var differing = 0
        for element in 0..<count {
            let place = element * elementSize..<(element + 1) * elementSize
            let kind = Int(generator.next() * 4)
            for byte in place {
                old[byte] = UInt8(generator.next() * 255.9)
                new[byte] = [old[byte], UInt8(generator.next() * 255.9), 0, 255][kind]
            }
            // One step down from zero, and one up from the greatest number.
            if kind == 2 { for byte in place { old[byte] = 255 } }
            if kind == 3 { for byte in place { old[byte] = 0 } }
            differing += place.contains { old[$0] != new[$0] } ? 1 : 0
        }
        let changed = BitDifferences.encode(
            from: UnsafeRawBufferPointer(old), to: UnsafeRawBufferPointer(new), elementSize: elementSize, into: planes,
            stride: count)
        #expect(changed == differing)
        if elementSize == 2 {
            func plane(_ elements: UnsafeMutableRawBufferPointer, _ byte: Int) -> [UInt8] {
                (0..<count).map { elements[2 * $0 + byte] }
            }
            var same = [UInt8](repeating: 0xA5, count: byteCount)
            let (low, high, newLow, newHigh) = (plane(old, 0), plane(old, 1), plane(new, 0), plane(new, 1))
            let changed = low.withUnsafeBufferPointer { low in
                high.withUnsafeBufferPointer { high in
                    newLow.withUnsafeBufferPointer { newLow in
                        newHigh.withUnsafeBufferPointer { newHigh in
                            BitDifferences.encode(
                                from: BytePlanes(low: low.baseAddress!, high: high.baseAddress!, count: count),
                                to: BytePlanes(low: newLow.baseAddress!, high: newHigh.baseAddress!, count: count),
                                into: &same, stride: count)
                        }
                    }
                }
            }
            #expect(changed == differing && same.indices.allSatisfy { same[$0] == planes[$0] })
        }
        BitDifferences.join(
            planes, stride: count, count: count, elementSize: elementSize, into: codes.baseAddress!)
        BitDifferences.apply(UnsafeRawBufferPointer(codes), to: old, elementSize: elementSize)
        #expect(old.elementsEqual(new))
    }
}
