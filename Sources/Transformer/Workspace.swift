import CheckpointIO
import Foundation
import Parallel

typealias Floats = UnsafeMutablePointer<Float>

/// Scratch memory for one pass: taken piece by piece, given back all at once, kept for the next pass.
///
/// Fresh pages cost more than the arithmetic done on them, so a step of training reuses those of the step before.
final class Workspace {
    private static let alignment = 64
    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    deinit { for block in blocks { block.deallocate() } }

    /// Room for `count` floats, 64-byte aligned, with whatever was there before.
    func floats(_ count: Int) -> Floats {
        let bytes = (max(1, count) * MemoryLayout<Float>.stride + Self.alignment - 1) & ~(Self.alignment - 1)
        if let last = blocks.last, used + bytes <= last.count {
            defer { used += bytes }
            return (last.baseAddress! + used).assumingMemoryBound(to: Float.self)
        }
        let size = max(bytes, 1 << 20, (blocks.last?.count ?? 0) * 2)
        blocks.append(LargeAllocation.allocate(byteCount: min(size, max(bytes, 1 << 28))))
        used = bytes
        return blocks.last!.baseAddress!.assumingMemoryBound(to: Float.self)
    }

    func zeros(_ count: Int) -> Floats {
        let memory = floats(count)
        memory.update(repeating: 0, count: count)
        return memory
    }

    /// Gives back everything.
    func reset() {
        used = 0
        guard blocks.count > 1 else { return }
        let total = blocks.reduce(0) { $0 + $1.count }
        for block in blocks { block.deallocate() }
        blocks = [LargeAllocation.allocate(byteCount: total)]
    }

    /// Frees the memory itself.
    func release() {
        for block in blocks { block.deallocate() }
        blocks = []
        used = 0
    }
}
