import Synchronization

/// Caches for each token whether merging its own text yields that token again.
///
/// Computing this for a whole vocabulary takes longer than most uses of a tokenizer, so an entry is filled when its
/// text first occurs. Threads that race on an entry compute the same value.
final class WordCache: @unchecked Sendable {
    // Sendable because the states are atomic and their memory does not move.
    private let states: UnsafeMutablePointer<Atomic<UInt8>>
    private let count: Int

    private static let no: UInt8 = 1
    private static let yes: UInt8 = 2

    init(count: Int) {
        self.count = count
        states = .allocate(capacity: max(count, 1))
        for id in 0..<count { (states + id).initialize(to: Atomic(0)) }
    }

    deinit {
        states.deinitialize(count: count)
        states.deallocate()
    }

    /// nil if not computed yet.
    @inline(__always)
    subscript(id: Int) -> Bool? {
        let state = states[id].load(ordering: .relaxed)
        return state == 0 ? nil : state == Self.yes
    }

    func set(_ id: Int, _ isWord: Bool) { states[id].store(isWord ? Self.yes : Self.no, ordering: .relaxed) }
}
