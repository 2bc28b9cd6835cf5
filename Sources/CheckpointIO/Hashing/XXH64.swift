import CFileKernels

/// The 64-bit xxHash with seed 0; its low half is the checksum of a zstd frame (RFC 8878, section 3.1.1).
struct XXH64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5
    /// Bytes per round.
    private static let stripe = 32

    private var lanes = (prime1 &+ prime2, prime2, 0 as UInt64, 0 &- prime1)
    private var byteCount = 0
    /// The first `byteCount % stripe` bytes are those that do not fill a stripe yet.
    private var pending: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Hashes further bytes.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        let held = byteCount % Self.stripe
        byteCount += bytes.count
        if held > 0 {
            let count = min(rest.count, Self.stripe - held)
            withUnsafeMutableBytes(of: &pending) { pending in
                UnsafeMutableRawBufferPointer(rebasing: pending[held..<held + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            }
            guard held + count == Self.stripe else { return }
            let stripe = pending
            withUnsafeBytes(of: stripe) { takeStripes($0) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        takeStripes(rest)
        let tail = UnsafeRawBufferPointer(rebasing: rest[(rest.count / Self.stripe * Self.stripe)...])
        withUnsafeMutableBytes(of: &pending) { $0.copyMemory(from: tail) }
    }

    /// The hash of all bytes so far.
    func finish() -> UInt64 {
        var hash = Self.prime5
        if byteCount >= Self.stripe {
            let (a, b, c, d) = lanes
            hash = Self.rotated(a, 1) &+ Self.rotated(b, 7) &+ Self.rotated(c, 12) &+ Self.rotated(d, 18)
            for lane in [a, b, c, d] { hash = (hash ^ Self.round(0, lane)) &* Self.prime1 &+ Self.prime4 }
        }
        hash = hash &+ UInt64(byteCount)
        withUnsafeBytes(of: pending) { pending in
            let count = byteCount % Self.stripe
            var position = 0
            while position + 8 <= count {
                let lane = Self.round(0, Self.word(pending, position))
                hash = Self.rotated(hash ^ lane, 27) &* Self.prime1 &+ Self.prime4
                position += 8
            }
            if position + 4 <= count {
                let half = UInt32(littleEndian: pending.loadUnaligned(fromByteOffset: position, as: UInt32.self))
                hash = Self.rotated(hash ^ UInt64(half) &* Self.prime1, 23) &* Self.prime2 &+ Self.prime3
                position += 4
            }
            for byte in pending[position..<count] {
                hash = Self.rotated(hash ^ UInt64(byte) &* Self.prime5, 11) &* Self.prime1
            }
        }
        hash = (hash ^ hash >> 33) &* Self.prime2
        hash = (hash ^ hash >> 29) &* Self.prime3
        return hash ^ hash >> 32
    }

    private mutating func takeStripes(_ bytes: UnsafeRawBufferPointer) {
        withUnsafeMutableBytes(of: &lanes) { lanes in
            ckpt_xxh64_stripes(
                lanes.assumingMemoryBound(to: UInt64.self).baseAddress, bytes.baseAddress, bytes.count / Self.stripe)
        }
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    @inline(__always)
    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        rotated(lane &+ word &* prime2, 31) &* prime1
    }

    @inline(__always)
    private static func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 {
        value &<< count | value &>> (64 &- count)
    }
}
