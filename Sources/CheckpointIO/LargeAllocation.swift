import Glibc

/// Memory for tensors and whole models.
public enum LargeAllocation {
    /// Uninitialised memory, 64-byte aligned or better; large blocks ask the system for huge pages.
    ///
    /// For what is gone through often: a stream decoded from weights in huge pages is 8 to 10 % faster. Their first touch
    /// costs a tenth of that of small ones where the memory is at hand, but several times as much in a virtual machine
    /// whose host has to provide it (docs/benchmarks.md). Freed with `deallocate()`.
    public static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let hugePage = 2 << 20
        guard byteCount >= hugePage else { return .allocate(byteCount: byteCount, alignment: 64) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: hugePage)
        // A refusal costs time and nothing else.
        madvise(memory.baseAddress, memory.count, Int32(MADV_HUGEPAGE))
        return memory
    }
}
