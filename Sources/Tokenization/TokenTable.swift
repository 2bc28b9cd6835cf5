/// Finds the id of a token by its bytes: open addressing over one pool of bytes.
///
/// The hash is seeded for each table, so that a file cannot be made whose tokens all fall into one slot.
struct TokenTable: Sendable {
    private var pool: [UInt8] = []
    /// Where entry i starts in the pool; one more than there are entries.
    private var starts: [UInt32] = [0]
    private var ids: [UInt32] = []
    /// Upper half: the hash; lower half: entry + 1, or 0 where the slot is free.
    private var slots: [UInt64]
    private let mask: Int
    private let seed: UInt64

    /// - Parameter capacity: how many tokens will be inserted at most.
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

    /// Inserts a token; returns the id that was there before, if one was, and then changes nothing.
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

/// The rank of a merge by its two ids.
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

    /// A later rank for the same pair replaces the earlier one.
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
