import CSystem
import Glibc

/// A file that is written from front to back, past the page cache where the file system allows it, but for a header that
/// is known last.
///
/// A save through the page cache pays for every page twice (the guest's memory first, the disk at fsync), and its time
/// varies several-fold from run to run; aligned blocks written with O_DIRECT by a thread of their own go to the disk
/// while the cores compress. For one thread at a time.
final class DirectOutput {
    private let plain: PlainFile
    private let blocks: BlockWriter
    private var block: UnsafeMutableRawBufferPointer
    /// Where the block lies in the file, a multiple of the alignment.
    private var blockStart = 0
    /// Bytes of the block that are in use; those after it are undefined.
    private var filled = 0

    /// Bytes so far, the header included.
    var byteCount: Int { blockStart + filled }

    /// Creates a file that must not exist, with the mode that umask leaves.
    /// - Parameters:
    ///   - name: the path that errors show.
    ///   - headerSize: bytes that stay zero until the end.
    /// - Throws: `CheckpointError.system`.
    init(creating path: String, reportedAs name: String, headerSize: Int) throws {
        plain = try PlainFile(creating: path, reportedAs: name)
        // Some file systems have no direct writes: all then goes through the page cache.
        let direct = open(path, O_WRONLY | O_CLOEXEC | ckpt_o_direct)
        blocks = try BlockWriter(direct: direct, plain: plain)
        block = blocks.take()
        clear(upTo: headerSize)
    }

    deinit { try? blocks.finish() }

    /// Adds bytes at the end.
    /// - Returns: their address.
    /// - Throws: what an earlier block met.
    func append(_ bytes: UnsafeRawBufferPointer) throws -> UInt64 {
        let address = byteCount
        var rest = bytes
        while !rest.isEmpty {
            if filled == block.count { try submitBlock() }
            let count = min(rest.count, block.count - filled)
            (block.baseAddress! + filled).copyMemory(from: rest.baseAddress!, byteCount: count)
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return UInt64(address)
    }

    /// Writes what is left, then the header, and gives the file its length; `fsync` is the caller's.
    func finish(header: [UInt8]) throws {
        let end = byteCount
        let used = (filled + BlockWriter.alignment - 1) / BlockWriter.alignment * BlockWriter.alignment
        clear(upTo: used)
        try blocks.submit(UnsafeMutableRawBufferPointer(rebasing: block[..<used]), at: blockStart)
        try blocks.finish()
        try header.withUnsafeBytes { try plain.write($0, at: 0) }
        try plain.truncate(to: end)
    }

    /// Has the whole block written and goes on to the next.
    private func submitBlock() throws {
        try blocks.submit(block, at: blockStart)
        blockStart += block.count
        block = blocks.take()
        filled = 0
    }

    /// Adds zeros up to a place in the block.
    private func clear(upTo offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: block[filled..<offset]).initializeMemory(as: UInt8.self, repeating: 0)
        filled = offset
    }
}
