import Glibc

/// Memory for tensors and whole models.
public enum LargeAllocation {
    /// Uninitialised memory, 64-byte aligned or better; large blocks ask the system for huge pages.
    ///
    /// The first touch of a fresh page costs as much as decoding what goes into it; with huge pages it is a tenth.
    /// Freed with `deallocate()`.
    public static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let hugePage = 2 << 20
        guard byteCount >= hugePage else { return .allocate(byteCount: byteCount, alignment: 64) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: hugePage)
        // A refusal costs time and nothing else.
        madvise(memory.baseAddress, memory.count, Int32(MADV_HUGEPAGE))
        return memory
    }
}
