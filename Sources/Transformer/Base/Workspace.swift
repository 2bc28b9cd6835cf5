import Parallel

package typealias Floats = UnsafeMutablePointer<Float>

/// Scratch memory of one pass, allocated bit by bit, freed all at once and reused by the next pass.
///
/// Touching fresh pages costs more than the arithmetic on them, so a training step reuses the memory of the step
/// before.
final class Workspace {
    private static let alignment = 64
    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    deinit { for block in blocks { block.deallocate() } }

    /// Memory for `count` floats, uninitialised and 64-byte aligned.
    func floats(_ count: Int) -> Floats {
        let bytes = (max(1, count) * MemoryLayout<Float>.stride + Self.alignment - 1) & ~(Self.alignment - 1)
        if blocks.isEmpty || used + bytes > blocks[blocks.count - 1].count {
            let size = max(bytes, 1 << 20, (blocks.last?.count ?? 0) * 2)
            blocks.append(LargeAllocation.allocate(byteCount: min(size, max(bytes, 1 << 28))))
            used = 0
        }
        defer { used += bytes }
        let rest = UnsafeMutableRawBufferPointer(rebasing: blocks[blocks.count - 1][used...])
        // Not nil, because the block has bytes left.
        // swift-format-ignore: NeverForceUnwrap
        return rest.baseAddress!.assumingMemoryBound(to: Float.self)
    }

    func zeros(_ count: Int) -> Floats {
        let memory = floats(count)
        memory.update(repeating: 0, count: count)
        return memory
    }

    /// Frees all floats; memory in several blocks is replaced by one block of the same size.
    func reset() {
        used = 0
        guard blocks.count > 1 else { return }
        let total = blocks.reduce(0) { $0 + $1.count }
        for block in blocks { block.deallocate() }
        blocks = [LargeAllocation.allocate(byteCount: total)]
    }
}
