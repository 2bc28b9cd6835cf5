import CSystem
import Glibc

/// A file that is written sequentially, except for a header that is written last.
///
/// The page cache is bypassed if the file system supports it. A save through the page cache writes every page twice,
/// to memory and at fsync to the disk, and its time varies several-fold; aligned blocks that a background thread writes
/// with O_DIRECT reach the disk while the cores compress. Not thread-safe.
final class DirectOutput {
    private let plain: PlainFile
    private let blocks: BlockWriter
    private var block: UnsafeMutableRawBufferPointer
    /// The block's offset in the file, a multiple of the alignment.
    private var blockStart = 0
    /// Bytes of the block that are in use.
    private var filled = 0

    /// Bytes so far, including the header.
    var byteCount: Int { blockStart + filled }

    /// Creates a file, which must not exist; `name` is the path in errors.
    init(creating path: String, reportedAs name: String, headerSize: Int) throws {
        plain = try PlainFile(creating: path, reportedAs: name)
        // If the file system has no direct writes, the page cache is used.
        let direct = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | ckpt_o_direct)
        blocks = try BlockWriter(direct: direct, plain: plain)
        block = blocks.take()
        clear(upTo: headerSize)
    }

    deinit { try? blocks.finish() }

    /// Appends bytes and returns their offset; throws the error of an earlier block.
    func append(_ bytes: UnsafeRawBufferPointer) throws -> UInt64 {
        let address = byteCount
        var rest = bytes
        while !rest.isEmpty {
            if filled == block.count { try submitBlock() }
            let count = min(rest.count, block.count - filled)
            UnsafeMutableRawBufferPointer(rebasing: block[filled..<filled + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return UInt64(address)
    }

    /// Writes the last block and the header, and truncates the file to its length; the caller calls `fsync`.
    func finish(header: [UInt8]) throws {
        let end = byteCount
        let used = (filled + BlockWriter.alignment - 1) / BlockWriter.alignment * BlockWriter.alignment
        clear(upTo: used)
        try blocks.submit(UnsafeMutableRawBufferPointer(rebasing: block[..<used]), at: blockStart)
        try blocks.finish()
        try header.withUnsafeBytes { try plain.write($0, at: 0) }
        try plain.truncate(to: end)
    }

    /// Submits the full block and takes the next one.
    private func submitBlock() throws {
        try blocks.submit(block, at: blockStart)
        blockStart += block.count
        block = blocks.take()
        filled = 0
    }

    /// Adds zeros up to an offset in the block.
    private func clear(upTo offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: block[filled..<offset]).initializeMemory(as: UInt8.self, repeating: 0)
        filled = offset
    }
}
