import CheckpointIO

/// Memory for the keys and values of past tokens, in pages of 32 tokens of all layers (`KVPage`).
///
/// With pages, sequences grow without being copied, and the samples of a prompt share its pages. Memory is allocated
/// when it is first used.
final class PagePool: @unchecked Sendable {
    // Sendable, as are the types below, because only the generating thread takes and returns pages, and workers write
    // to separate places in them.
    let precision: CachePrecision
    /// The largest number of pages in use, unless a single row needs more.
    let limit: Int
    /// Pages in use.
    private(set) var used = 0
    /// The largest number of pages in use so far.
    private(set) var peak = 0
    let pageBytes: Int
    private let heads: Int
    private let dimension: Int
    private var free: [UnsafeMutableRawPointer] = []
    private var all: [UnsafeMutableRawPointer] = []

    init(_ configuration: ModelConfiguration, _ precision: CachePrecision, byteLimit: Int) {
        self.precision = precision
        heads = configuration.keyValueHeadCount
        dimension = configuration.headDimension
        pageBytes = KVPage.bytes(configuration, precision)
        limit = byteLimit / max(1, pageBytes)
    }

    deinit { for block in all { block.deallocate() } }

    /// The pages that can be taken within the limit; negative if a single row has exceeded it.
    var available: Int { limit - used }

    func take() -> UnsafeMutableRawPointer {
        if free.isEmpty {
            let batch = max(1, (4 << 20) / pageBytes)
            let block = UnsafeMutableRawPointer.allocate(byteCount: batch * pageBytes, alignment: 64)
            all.append(block)
            block.initializeMemory(as: UInt8.self, repeating: 0, count: batch * pageBytes)
            for index in (0..<batch).reversed() { free.append(block + index * pageBytes) }
        }
        used += 1
        peak = max(peak, used)
        return free.removeLast()
    }

    func take(_ count: Int) -> [UnsafeMutableRawPointer] { (0..<count).map { _ in take() } }

    func giveBack(_ pages: [UnsafeMutableRawPointer]) {
        used -= pages.count
        free.append(contentsOf: pages)
    }

    /// The offset in elements of a head's keys `[dimension, 32]` in a page; its values follow.
    @inline(__always)
    func offset(layer: Int, head: Int) -> Int { (layer * heads + head) * 2 * dimension * KVPage.tokens }

    /// Writes one token's keys and values of all heads at `slot` of a page.
    @inline(__always)
    func write(
        _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>, layer: Int, page: UnsafeMutableRawPointer,
        slot: Int
    ) {
        for head in 0..<heads {
            write(
                keys + head * dimension, values + head * dimension, layer: layer, head: head, page: page, slot: slot)
        }
    }

    /// Writes one token's key and value of one head.
    @inline(__always)
    func write(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, layer: Int, head: Int,
        page: UnsafeMutableRawPointer, slot: Int
    ) {
        let offset = offset(layer: layer, head: head)
        let row = dimension * KVPage.tokens + slot * dimension
        switch precision {
        case .fp32:
            let columns = page.assumingMemoryBound(to: Float.self) + offset
            for i in 0..<dimension { columns[i * KVPage.tokens + slot] = key[i] }
            (columns + row).update(from: value, count: dimension)
        case .bf16:
            let columns = page.assumingMemoryBound(to: UInt16.self) + offset
            for i in 0..<dimension { columns[i * KVPage.tokens + slot] = BFloat16.rounded(key[i]) }
            for i in 0..<dimension { columns[row + i] = BFloat16.rounded(value[i]) }
        }
    }
}

/// Cached tokens at the start of rows; their pages are returned when the last row lets go of them.
final class CachedPrompt: @unchecked Sendable {
    let pages: [UnsafeMutableRawPointer]
    let count: Int
    /// The request whose prompt this is, for all of its samples; nil for a start of the text of one sample.
    let request: Int?
    private let pool: PagePool

    init(_ pool: PagePool, request: Int?, count: Int) {
        self.pool = pool
        self.request = request
        self.count = count
        pages = pool.take(KVPage.count(tokens: count))
    }

    deinit { pool.giveBack(pages) }
}
