import Synchronization

/// Which tokens of a vocabulary come out whole when their own text is merged, as far as that is known.
///
/// Finding it out for all of a large vocabulary takes longer than most uses of a tokenizer, so each is looked at when
/// its text first comes up. Whoever finds out finds the same.
final class WholeTokens: @unchecked Sendable {
    // Sendable because the states are atomic and the memory stays in place.
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

    /// nil where it is not known yet.
    @inline(__always)
    subscript(id: Int) -> Bool? {
        let state = states[id].load(ordering: .relaxed)
        return state == 0 ? nil : state == Self.yes
    }

    func set(_ id: Int, _ isWhole: Bool) { states[id].store(isWhole ? Self.yes : Self.no, ordering: .relaxed) }
}
