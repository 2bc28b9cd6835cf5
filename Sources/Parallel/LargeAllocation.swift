import Glibc

/// Memory for tensors and whole models.
package enum LargeAllocation {
    /// Allocates uninitialised memory, aligned to 64 bytes or more; large blocks ask the system for huge pages.
    ///
    /// Use it for memory that is read often: decoding from weights in huge pages is 8 to 10 % faster. The first touch
    /// of a huge page costs a tenth of that of small pages if memory is available, but several times as much in a
    /// virtual machine whose host must provide it (docs/benchmarks.md). Free the memory with `deallocate()`.
    package static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let hugePage = 2 << 20
        guard byteCount >= hugePage else { return .allocate(byteCount: byteCount, alignment: 64) }
        var start: UnsafeMutableRawPointer?
        guard posix_memalign(&start, hugePage, byteCount) == 0 else { refused(byteCount) }
        let memory = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
        // The system may refuse; the memory is then slower but otherwise the same.
        madvise(memory.baseAddress, memory.count, Int32(MADV_HUGEPAGE))
        return memory
    }

    /// Ends the process when the system refuses a large block that was not checked for.
    ///
    /// A program may set it once, before other threads run.
    nonisolated(unsafe) package static var refused: @Sendable (_ byteCount: Int) -> Never = { byteCount in
        fatalError("the system refuses \(byteCount) bytes of memory")
    }

    /// Checks that a model's parameters could be allocated in float32.
    ///
    /// - Throws: `MemoryLimitError`.
    package static func check(float32Of parameterCount: Int) throws {
        try check(byteCount: 4 * parameterCount, for: "\(parameterCount) parameters in float32")
    }

    /// Checks that a block could be allocated now, by the limits of the process.
    ///
    /// - Throws: `MemoryLimitError`.
    package static func check(byteCount: Int, for purpose: String) throws {
        // Beside the block, the heap and the stacks of threads need some.
        try SystemMemory.checkAddressSpace(for: byteCount + reserve, purpose: purpose)
    }

    /// The address space that a command needs besides its large blocks.
    package static let reserve = 96 << 20
}
