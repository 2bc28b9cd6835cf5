import CheckpointIO

/// Memory for the keys and values of past tokens, in pages of 32 tokens of all layers (`KVPage`).
///
/// With pages, sequences grow without being copied, and the samples of a prompt share its pages.
final class PagePool: @unchecked Sendable {
    // Sendable, as are the types below, because only the generating thread takes and returns pages, and workers write
    // to separate places in them.
    private let heads: Int
    private let dimension: Int
    private let layers: Int
    private var free: [Floats] = []
    private var all: [UnsafeMutableRawPointer] = []

    init(_ configuration: ModelConfiguration) {
        heads = configuration.keyValueHeadCount
        dimension = configuration.headDimension
        layers = configuration.layerCount
    }

    deinit { for block in all { block.deallocate() } }

    /// Floats of one page.
    private var pageCount: Int { layers * heads * 2 * dimension * KVPage.tokens }

    func take() -> Floats {
        if free.isEmpty {
            let batch = max(1, (4 << 20) / (pageCount * 4))
            let block = UnsafeMutableRawPointer.allocate(byteCount: batch * pageCount * 4, alignment: 64)
            all.append(block)
            let floats = block.bindMemory(to: Float.self, capacity: batch * pageCount)
            floats.initialize(repeating: 0, count: batch * pageCount)
            for index in (0..<batch).reversed() { free.append(floats + index * pageCount) }
        }
        return free.removeLast()
    }

    func giveBack(_ pages: [Floats]) { free.append(contentsOf: pages) }

    /// The offset of a head's keys `[dimension, 32]` in a page; its values follow.
    @inline(__always)
    func offset(layer: Int, head: Int) -> Int { (layer * heads + head) * 2 * dimension * KVPage.tokens }

    /// Writes one token's keys and values of all heads at `slot` of a page.
    @inline(__always)
    func write(_ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>, layer: Int, page: Floats, slot: Int) {
        for head in 0..<heads {
            write(
                keys + head * dimension, values + head * dimension, layer: layer, head: head, page: page, slot: slot)
        }
    }

    /// Writes one token's key and value of one head.
    @inline(__always)
    func write(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, layer: Int, head: Int, page: Floats, slot: Int
    ) {
        let columns = page + offset(layer: layer, head: head)
        for i in 0..<dimension { columns[i * KVPage.tokens + slot] = key[i] }
        (columns + (dimension * KVPage.tokens + slot * dimension)).update(from: value, count: dimension)
    }
}

/// The cached prompt of a request; its pages are returned when its last sample is done.
final class CachedPrompt: @unchecked Sendable {
    let pages: [Floats]
    let count: Int
    private let pool: PagePool

    init(_ pool: PagePool, count: Int) {
        self.pool = pool
        self.count = count
        pages = (0..<((count + KVPage.tokens - 1) / KVPage.tokens)).map { _ in pool.take() }
    }

    deinit { pool.giveBack(pages) }
}

/// A sample that is being generated.
final class GenerationRow: @unchecked Sendable {
    let request: Int
    let sample: Int
    let promptKey: Int
    private(set) var prompt: CachedPrompt
    /// Pages of the sample's tokens, without the prompt.
    private(set) var pages: [Floats] = []
    /// The number of the sample's tokens that are cached or computed in this step.
    private(set) var cached = 0
    var tokens: [Int] = []
    var logProbabilities: [Float] = []
    /// Tokens that are inserted next instead of drawn ones.
    var pending: ArraySlice<Int> = []
    /// The range of inserted tokens in `tokens`.
    var inserted: Range<Int>?
    private let pool: PagePool

    init(_ pool: PagePool, request: Int, sample: Int, promptKey: Int, prompt: CachedPrompt) {
        self.pool = pool
        self.request = request
        self.sample = sample
        self.promptKey = promptKey
        self.prompt = prompt
    }

    deinit { pool.giveBack(pages) }

    /// The position of the next token to feed.
    var position: Int { prompt.count + cached }

    /// The pages of the prompt and of the sample.
    var allPages: [KVPage] {
        func valid(_ pages: [Floats], _ count: Int) -> [KVPage] {
            pages.enumerated().map { index, page in
                KVPage(start: page, count: min(count - index * KVPage.tokens, KVPage.tokens))
            }
        }
        return valid(prompt.pages, prompt.count) + valid(pages, cached)
    }

    /// Continues after `prompt`, in which all tokens cached so far have been computed anew.
    func move(to prompt: CachedPrompt) {
        self.prompt = prompt
        pool.giveBack(pages)
        pages = []
        cached = 0
    }

    /// Allocates memory for the token that is fed next; called by one thread before a step.
    func grow() {
        if cached % KVPage.tokens == 0 { pages.append(pool.take()) }
        cached += 1
    }
}
