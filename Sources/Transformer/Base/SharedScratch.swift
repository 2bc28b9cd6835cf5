import Parallel
import Synchronization

/// Memory reused from product to product, because touching fresh pages would cost as much as packing.
final class SharedScratch: Sendable {
    private struct Block: @unchecked Sendable {
        // Sendable because one caller at a time holds it.
        var bytes: UnsafeMutableRawBufferPointer
    }

    private let free = Mutex<[Block]>([])

    /// Calls `body` with uninitialised memory for `count` floats, at least one.
    func withFloats(_ count: Int, _ body: (Floats) -> Void) {
        var block = free.withLock { $0.popLast() } ?? Block(bytes: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        if block.bytes.count < 4 * count {
            block.bytes.deallocate()
            block.bytes = LargeAllocation.allocate(byteCount: 4 * count)
        }
        if let start = block.bytes.baseAddress { body(start.assumingMemoryBound(to: Float.self)) }
        free.withLock { $0.append(block) }
    }
}
