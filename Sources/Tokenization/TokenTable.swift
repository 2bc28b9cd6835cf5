/// A hash table from the bytes of tokens to ids, with open addressing and one byte pool.
///
/// Each table has a random seed, so that no file can be crafted whose tokens all collide.
struct TokenTable: Sendable {
    private var pool: [UInt8] = []
    /// Offsets of the entries in the pool, followed by its end.
    private var starts: [UInt32] = [0]
    private var ids: [UInt32] = []
    /// Hash in the upper 32 bits, entry + 1 in the lower; 0 is a free slot.
    private var slots: [UInt64]
    private let mask: Int
    private let seed: UInt64

    /// - Parameter capacity: the maximum number of tokens.
    init(capacity: Int) {
        var count = 16
        while count < capacity * 2 { count *= 2 }
        slots = [UInt64](repeating: 0, count: count)
        mask = count - 1
        seed = .random(in: .min ... .max) | 1
    }

    @inline(__always)
    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>, _ seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15
        guard let base = bytes.baseAddress else { return hash }
        let raw = UnsafeRawPointer(base)
        var index = 0
        while index + 8 <= bytes.count {
            hash = (hash ^ raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0xD6E8_FEB8_6659_FD93
            hash ^= hash >> 32
            index += 8
        }
        var tail: UInt64 = 0
        while index < bytes.count {
            tail = tail << 8 | UInt64(bytes[index])
            index += 1
        }
        hash = (hash ^ tail) &* 0xD6E8_FEB8_6659_FD93
        hash ^= hash >> 32
        hash = hash &* 0xD6E8_FEB8_6659_FD93
        return hash ^ hash >> 29
    }

    /// Inserts a token unless it is already present.
    ///
    /// - Returns: the id that the token already had, or nil if it was inserted.
    mutating func insert(_ token: UnsafeBufferPointer<UInt8>, id: UInt32) -> UInt32? {
        let hash = Self.hash(token, seed)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if let entry = match(slots[slot], hash, token) { return ids[entry] }
            slot = (slot + 1) & mask
        }
        pool.append(contentsOf: token)
        starts.append(UInt32(pool.count))
        ids.append(id)
        slots[slot] = hash & ~0xFFFF_FFFF | UInt64(ids.count)
        return nil
    }

    mutating func insert(_ token: [UInt8], id: UInt32) -> UInt32? {
        token.withUnsafeBufferPointer { insert($0, id: id) }
    }

    @inline(__always)
    private func match(_ slot: UInt64, _ hash: UInt64, _ token: UnsafeBufferPointer<UInt8>) -> Int? {
        guard slot >> 32 == hash >> 32 else { return nil }
        let entry = Int(slot & 0xFFFF_FFFF) - 1
        let start = Int(starts[entry])
        guard Int(starts[entry + 1]) - start == token.count else { return nil }
        for index in 0..<token.count where pool[start + index] != token[index] { return nil }
        return entry
    }

    @inline(__always)
    func id(of token: UnsafeBufferPointer<UInt8>) -> UInt32? {
        let hash = Self.hash(token, seed)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if let entry = match(slots[slot], hash, token) { return ids[entry] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    func id(of token: [UInt8]) -> UInt32? { token.withUnsafeBufferPointer { id(of: $0) } }
}

/// A hash table from two ids to the rank of their merge.
struct PairTable: Sendable {
    private var keys: [UInt64]
    private var ranks: [UInt32]
    private let mask: Int
    private let seed: UInt64
    private static let free = UInt64.max

    init(capacity: Int) {
        var count = 16
        while count < capacity * 2 { count *= 2 }
        keys = [UInt64](repeating: Self.free, count: count)
        ranks = [UInt32](repeating: 0, count: count)
        mask = count - 1
        seed = .random(in: .min ... .max) | 1
    }

    @inline(__always)
    private func slot(_ key: UInt64) -> Int {
        var hash = (key ^ seed) &* 0xD6E8_FEB8_6659_FD93
        hash ^= hash >> 32
        hash = hash &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: hash >> 24) & mask
    }

    /// Inserts a pair or replaces its rank.
    mutating func insert(_ left: UInt32, _ right: UInt32, rank: UInt32) {
        let key = UInt64(left) << 32 | UInt64(right)
        var slot = slot(key)
        while keys[slot] != Self.free, keys[slot] != key { slot = (slot + 1) & mask }
        keys[slot] = key
        ranks[slot] = rank
    }

    @inline(__always)
    func rank(_ left: UInt32, _ right: UInt32) -> UInt32? {
        let key = UInt64(left) << 32 | UInt64(right)
        var slot = slot(key)
        while true {
            let found = keys[slot]
            if found == key { return ranks[slot] }
            if found == Self.free { return nil }
            slot = (slot + 1) & mask
        }
    }
}
