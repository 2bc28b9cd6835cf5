import CSystem
import Glibc

/// A file that is written mostly from front to back, past the page cache where the file system allows it.
///
/// A save through the page cache pays for every page twice (the guest's memory first, the disk at fsync), and its time
/// varies several-fold from run to run; aligned blocks written with O_DIRECT by a thread of their own go to the disk
/// while the cores compress. What lies behind the blocks in progress, such as an index that is completed late, goes
/// through a second descriptor. For one thread at a time.
final class DirectOutput {
    private let plain: PlainFile
    private let blocks: BlockWriter
    private var block: UnsafeMutableRawBufferPointer
    /// Where the block lies in the file, a multiple of the alignment.
    private var blockStart = 0
    /// Bytes of the block that are in use; those after it are undefined.
    private var filled = 0

    /// Bytes written so far, gaps included.
    var byteCount: Int { blockStart + filled }

    /// Creates a file that must not exist, with the mode that umask leaves.
    /// - Parameter name: the path that errors show.
    /// - Throws: `CheckpointError.system`.
    init(creating path: String, reportedAs name: String) throws {
        plain = try PlainFile(creating: path, reportedAs: name)
        // Some file systems have no direct writes: all then goes through the page cache.
        let direct = open(path, O_WRONLY | O_CLOEXEC | ckpt_o_direct)
        blocks = try BlockWriter(direct: direct, plain: plain)
        block = blocks.take()
    }

    deinit { try? blocks.finish() }

    /// Writes bytes at an address. Bytes never written are zero.
    func write(_ bytes: UnsafeRawBufferPointer, at address: Int) throws {
        var address = address
        var rest = bytes
        if address < blockStart {
            let count = min(rest.count, blockStart - address)
            try blocks.settle(address..<address + count)
            try plain.write(UnsafeRawBufferPointer(rebasing: rest[..<count]), at: address)
            address += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        while !rest.isEmpty {
            if address >= blockStart + block.count {
                try submitBlock()
                continue
            }
            let offset = address - blockStart
            let count = min(rest.count, block.count - offset)
            clear(upTo: offset)
            (block.baseAddress! + offset).copyMemory(from: rest.baseAddress!, byteCount: count)
            filled = max(filled, offset + count)
            address += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Reads back what was written.
    func read(at address: Int, into destination: UnsafeMutableRawBufferPointer) throws {
        try blocks.settle(address..<address + destination.count)
        let written = min(max(0, blockStart - address), destination.count)
        try plain.read(at: address, into: UnsafeMutableRawBufferPointer(rebasing: destination[..<written]))
        let rest = UnsafeMutableRawBufferPointer(rebasing: destination[written...])
        guard !rest.isEmpty else { return }
        let offset = address + written - blockStart
        let count = min(rest.count, max(0, filled - offset))
        if count > 0 { rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: block[offset..<offset + count])) }
        UnsafeMutableRawBufferPointer(rebasing: rest[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Writes what is left, gives the file its length and closes it; `fsync` is the caller's.
    func finish(byteCount: Int) throws {
        while byteCount > blockStart + block.count { try submitBlock() }
        let used = (filled + BlockWriter.alignment - 1) / BlockWriter.alignment * BlockWriter.alignment
        clear(upTo: used)
        try blocks.submit(UnsafeMutableRawBufferPointer(rebasing: block[..<used]), at: blockStart)
        try blocks.finish()
        try plain.truncate(to: byteCount)
    }

    /// Has the whole block written and goes on to the next.
    private func submitBlock() throws {
        clear(upTo: block.count)
        try blocks.submit(block, at: blockStart)
        blockStart += block.count
        block = blocks.take()
        filled = 0
    }

    /// Makes the block's bytes up to `offset` defined.
    private func clear(upTo offset: Int) {
        guard filled < offset else { return }
        UnsafeMutableRawBufferPointer(rebasing: block[filled..<offset]).initializeMemory(as: UInt8.self, repeating: 0)
        filled = offset
    }
}
