/// A page-aligned buffer that is reused; growing discards its content.
final class ScratchBuffer {
    private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// The part of the buffer that is in use.
    private(set) var content = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    deinit { storage.deallocate() }

    /// Makes the first `count` bytes, uninitialised, the content and returns them.
    @discardableResult
    func resized(to count: Int) -> UnsafeMutableRawBufferPointer {
        if storage.count < count {
            storage.deallocate()
            storage = .allocate(byteCount: (count + 4095) / 4096 * 4096, alignment: 4096)
        }
        content = UnsafeMutableRawBufferPointer(rebasing: storage[..<count])
        return content
    }

    /// Keeps the first `count` bytes of the content.
    func shrink(to count: Int) { content = UnsafeMutableRawBufferPointer(rebasing: content[..<count]) }
}
