import CZstd
import CheckpointIO
import Foundation
import Testing

/// Frames made by `EntropyFrame`, decoded by libzstd and by `EntropyFrameDecoder`.
@Suite struct EntropyFrameTests {
    /// Frequencies of the 256 bytes that cover all ways of describing and limiting a code.
    private static let distributions: [(name: String, shares: [Double])] = [
        ("one byte", shares { $0 == 7 ? 1 : 0 }),
        ("the first and the last", shares { $0 == 0 || $0 == 255 ? 1 : 0 }),
        ("two, one of them rare", shares { $0 == 9 ? 2000 : $0 == 10 ? 1 : 0 }),
        ("three neighbours", shares { $0 < 3 ? Double($0 + 1) : 0 }),
        ("seventeen alike", shares { $0 < 17 ? 1 : 0 }),
        ("the upper half alike", shares { $0 >= 128 ? 1 : 0 }),
        ("the even ones alike", shares { $0 % 2 == 0 ? 1 : 0 }),
        ("all alike", shares { _ in 1 }),
        ("nearly all alike", shares { $0 < 128 ? 1 : 1.2 }),
        ("halves, far below 11 bits", shares { $0 < 30 ? pow(0.5, Double($0)) : 0 }),
        ("halves of all, from the end", shares { pow(0.6, Double(255 - $0)) + 1e-7 }),
        ("Fibonacci", shares { $0 < 25 ? pow(1.618, Double($0)) : 0 }),
        ("exponents of weights", shares { pow(0.25, abs(Double($0 & 0x7F) - 0x3C)) }),
        ("81 of falling share", shares { $0 < 81 ? 1 / Double($0 + 1) : 0 }),
        ("all of falling share", shares { 1 / Double($0 + 1) }),
    ]
    private static let sizes = [
        1, 2, 3, 4, 5, 8, 63, 64, 255, 256, 257, 258, 259, 300, 1023, 1024, 1025, 16_383, 16_384, 16_387, 131_071,
        131_072, 131_073, 300_001,
    ]

    private static func shares(_ share: (Int) -> Double) -> [Double] { (0..<256).map(share) }

    private struct Generator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return ((state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9) >> 11
        }

        mutating func bytes(_ count: Int, _ shares: [Double]) -> [UInt8] {
            var sums: [Double] = []
            for share in shares { sums.append((sums.last ?? 0) + share) }
            let total = sums[255]
            return (0..<count).map { _ in
                let place = Double(next()) / Double(1 << 53) * total
                return UInt8(sums.firstIndex { place < $0 } ?? 255)
            }
        }
    }

    private func compress(_ bytes: [UInt8], elementSize: Int, with frame: EntropyFrame = EntropyFrame()) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: EntropyFrame.outputBound(bytes.count, elementSize: elementSize)) {
            buffer, count in
            count = bytes.withUnsafeBytes {
                frame.compress($0, elementSize: elementSize, into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
    }

    /// A frame's planes as decoded by `EntropyFrameDecoder`; nil if it leaves the frame to libzstd.
    private func decode(_ frame: [UInt8], _ count: Int, planeCount: Int) -> [UInt8]? {
        var planes = [UInt8](repeating: 0xA5, count: count)
        let isDecoded = planes.withUnsafeMutableBytes { planes in
            frame.withUnsafeBytes { EntropyFrameDecoder().decodePlanes($0, planeCount: planeCount, into: planes) }
        }
        return isDecoded ? planes : nil
    }

    /// A frame's content as decoded by libzstd; nil if libzstd refuses it.
    private func decompress(_ frame: [UInt8], _ count: Int) -> [UInt8]? {
        var written = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count + 1) { buffer, initialized in
            written = ZSTD_decompress(buffer.baseAddress, count + 1, frame, frame.count)
            initialized = ZSTD_isError(written) != 0 ? 0 : written
        }
        return ZSTD_isError(written) != 0 || ZSTD_getFrameContentSize(frame, frame.count) != UInt64(count) ? nil : bytes
    }

    private func planes(_ bytes: [UInt8], _ elementSize: Int) -> [UInt8] {
        (0..<elementSize).flatMap { plane in stride(from: plane, to: bytes.count, by: elementSize).map { bytes[$0] } }
    }

    @Test func everyDistributionInEverySize() {
        let frame = EntropyFrame()
        for (name, shares) in Self.distributions {
            for size in Self.sizes {
                var generator = Generator(state: UInt64(size))
                let bytes = generator.bytes(size, shares)
                let compressed = compress(bytes, elementSize: 1, with: frame)
                #expect(decompress(compressed, size) == bytes, "\(name), \(size) bytes")
                #expect(decode(compressed, size, planeCount: 1) == bytes, "\(name), \(size) bytes")
            }
        }
    }

    /// Frames of libzstd are decoded or left to it; those without matches and of one block are decoded.
    @Test func framesOfLibzstd() {
        for (name, shares) in Self.distributions {
            for size in Self.sizes {
                var generator = Generator(state: UInt64(size))
                let bytes = generator.bytes(size, shares)
                for level: Int32 in [-1000, 1, 19] {
                    let context = ZSTD_createCCtx()
                    defer { ZSTD_freeCCtx(context) }
                    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
                    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
                    ZSTD_CCtx_setParameter(context, ZSTD_c_experimentalParam5, Int32(ZSTD_lcm_huffman.rawValue))
                    var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(size))
                    let count = ZSTD_compress2(context, &frame, frame.count, bytes, size)
                    let decoded = decode(Array(frame[..<count]), size, planeCount: 1)
                    #expect(decoded == bytes || decoded == nil, "\(name), \(size) bytes, level \(level)")
                    if size <= 63 { #expect(decoded == bytes || level > 0, "\(name), \(size) bytes") }
                }
            }
        }
    }

    /// Frames are not larger than those of libzstd's Huffman stage, except that every byte takes at least one bit.
    @Test func framesAreSmall() {
        for (name, shares) in Self.distributions {
            var generator = Generator(state: 5)
            let bytes = generator.bytes(131_072, shares)
            let size = compress(bytes, elementSize: 1).count
            let bound = min(max(huffmanSize(bytes), bytes.count / 8), bytes.count)
            #expect(Double(size) <= 1.001 * Double(bound) + 64, "\(name): \(size)")
        }
    }

    /// The size of bytes compressed by libzstd's Huffman stage.
    private func huffmanSize(_ bytes: [UInt8]) -> Int {
        let context = ZSTD_createCCtx()
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, -1000)
        ZSTD_CCtx_setParameter(context, ZSTD_c_experimentalParam5, Int32(ZSTD_lcm_huffman.rawValue))
        var target = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        return ZSTD_compress2(context, &target, target.count, bytes, bytes.count)
    }

    /// A block may reuse the previous block's code only if that code covers all of its bytes.
    @Test func blocksOfDifferentDistributions() {
        let kinds = Self.distributions.map(\.shares)
        for seed in 0..<6 {
            var generator = Generator(state: UInt64(seed))
            let bytes = (0..<9).flatMap { _ in
                let kind = kinds[Int(generator.next() % UInt64(kinds.count))]
                let repeats = Int(generator.next() % 3) + 1
                return (0..<repeats).flatMap { _ in generator.bytes(131_072, kind) }
            }
            let frame = compress(bytes, elementSize: 1)
            #expect(decompress(frame, bytes.count) == bytes)
            #expect(decode(frame, bytes.count, planeCount: 1) == bytes)
        }
    }

    /// A byte that occurs once is missed by the sample, and the previous block's code does not cover it.
    @Test(arguments: [0, 1, 63, 64, 5001, 32_767, 32_768, 77_777, 131_071])
    func byteThatOccursOnceInALaterBlock(position: Int) {
        var generator = Generator(state: 11)
        var bytes = generator.bytes(3 * 131_072, Self.distributions[12].shares)
        for block in 1...2 { bytes[block * 131_072 + position] = UInt8(0x20 + block) }
        #expect(decompress(compress(bytes, elementSize: 1), bytes.count) == bytes)
    }

    /// A block coded with the previous block's code is hardly larger than with its own code.
    @Test func reusingACodeCostsLittle() {
        for (name, shares) in Self.distributions {
            var generator = Generator(state: 5)
            let blocks = (0..<4).map { _ in generator.bytes(131_072, shares) }
            let alone = blocks.reduce(0) { $0 + compress($1, elementSize: 1).count }
            #expect(Double(compress(blocks.flatMap { $0 }, elementSize: 1).count) <= 1.004 * Double(alone), "\(name)")
        }
    }

    /// Random planes are written directly to the frame, others are shuffled first; both decode to planes.
    @Test(arguments: [1, 2, 4, 8], [1, 100, 1023, 8192, 131_072, 131_073, 300_000])
    func elementsBecomePlanes(elementSize: Int, count: Int) {
        var generator = Generator(state: UInt64(count))
        let exponents = generator.bytes(count, Self.distributions[12].shares)
        for isRandom in [true, false] {
            var bytes = [UInt8](repeating: 0, count: count * elementSize)
            for element in 0..<count {
                for place in 0..<elementSize - 1 {
                    bytes[element * elementSize + place] = UInt8(
                        truncatingIfNeeded: generator.next() & (isRandom ? 255 : 63))
                }
                bytes[element * elementSize + elementSize - 1] = exponents[element]
            }
            let frame = compress(bytes, elementSize: elementSize)
            let planes = planes(bytes, elementSize)
            #expect(decompress(frame, bytes.count) == planes)
            #expect(decode(frame, bytes.count, planeCount: elementSize) == planes)
            if elementSize == 2 || elementSize == 4 {
                var elements = [UInt8](repeating: 0xA5, count: bytes.count)
                let isDecoded = elements.withUnsafeMutableBytes { elements in
                    frame.withUnsafeBytes {
                        EntropyFrameDecoder().decode($0, elementSize: elementSize, into: elements)
                    }
                }
                #expect(isDecoded && elements == bytes)
            }
            // Random bytes take 8 bits, others 6 bits, and exponents about 2.7 bits.
            let bitsOfLeading = (isRandom ? 8.0 : 6.0) * Double(elementSize - 1)
            if count >= 8192 { #expect(Double(8 * frame.count) < Double(count) * (bitsOfLeading + 3.1)) }
        }
    }

    @Test func damagedFrameIsRefused() {
        var generator = Generator(state: 3)
        let bytes = generator.bytes(40_000, Self.distributions[12].shares)
        let frame = compress(bytes, elementSize: 2)
        for position in stride(from: 9, to: frame.count, by: 97) {
            var damaged = frame
            damaged[position] ^= 16
            #expect(decompress(damaged, bytes.count) == nil, "byte \(position)")
            #expect(decode(damaged, bytes.count, planeCount: 2) == nil, "byte \(position)")
        }
    }

    /// A changed byte anywhere, also in descriptions and sizes, is refused unless it stands for the same content.
    @Test func damageAnywhereIsFound() {
        var generator = Generator(state: 3)
        for shares in [Self.distributions[12].shares, Self.distributions[14].shares, Self.distributions[2].shares] {
            let bytes = generator.bytes(2400, shares)
            let frame = compress(bytes, elementSize: 1)
            for position in 0..<frame.count {
                var damaged = frame
                damaged[position] ^= UInt8(1 + generator.next() % 255)
                let decoded = decode(damaged, bytes.count, planeCount: 1)
                #expect(decoded == nil || decoded == bytes, "byte \(position)")
                #expect(decode(Array(frame[..<position]), bytes.count, planeCount: 1) == nil, "\(position) bytes")
            }
        }
    }
}
