import Foundation

/// Keys and values of past tokens in pages of 32 tokens, so that sequences grow without moving and a prompt's pages
/// can stand in many sequences.
///
/// Pages are taken and given back by the generating thread alone; workers only read and write inside pages, each in
/// places of its own, which is why the types here may cross threads.
///
/// A page holds all layers. For each layer and key head first the keys `[dimension, 32]` (a token is a column, which
/// lets one query meet 32 keys at once), then the values `[32, dimension]`.
final class PagePool: @unchecked Sendable {
    static let pageTokens = 32
    let heads: Int
    let dimension: Int
    let layers: Int
    private var free: [Floats] = []
    private var all: [UnsafeMutableRawPointer] = []

    init(_ configuration: ModelConfiguration) {
        heads = configuration.keyValueHeadCount
        dimension = configuration.headDimension
        layers = configuration.layerCount
    }

    deinit { for block in all { block.deallocate() } }

    /// Floats of one page.
    var pageCount: Int { layers * heads * 2 * dimension * Self.pageTokens }

    static func bytes(forTokens tokens: Int, _ configuration: ModelConfiguration) -> Int {
        let pages = (tokens + pageTokens - 1) / pageTokens
        return pages * pageTokens * configuration.layerCount * 2 * configuration.keyValueWidth * 4
    }

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

    /// Where a head's keys `[dimension, 32]` begin within a page; its values follow.
    @inline(__always)
    func offset(layer: Int, head: Int) -> Int { (layer * heads + head) * 2 * dimension * Self.pageTokens }

    /// Writes one token's keys and values of all heads at `slot` of a page.
    @inline(__always)
    func write(_ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>, layer: Int, page: Floats, slot: Int) {
        for head in 0..<heads {
            write(
                keys + head * dimension, values + head * dimension, layer: layer, head: head, page: page, slot: slot)
        }
    }

    /// The same of one head.
    @inline(__always)
    func write(
        _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, layer: Int, head: Int, page: Floats, slot: Int
    ) {
        let columns = page + offset(layer: layer, head: head)
        for i in 0..<dimension { columns[i * Self.pageTokens + slot] = key[i] }
        (columns + (dimension * Self.pageTokens + slot * dimension)).update(from: value, count: dimension)
    }
}

/// The cached prompt of a request, given back when the last of its samples is done.
final class CachedPrompt: @unchecked Sendable {
    let pages: [Floats]
    let count: Int
    private let pool: PagePool

    init(_ pool: PagePool, count: Int) {
        self.pool = pool
        self.count = count
        pages = (0..<((count + PagePool.pageTokens - 1) / PagePool.pageTokens)).map { _ in pool.take() }
    }

    deinit { pool.giveBack(pages) }
}

/// One sample being generated.
final class GenerationRow: @unchecked Sendable {
    let request: Int
    let sample: Int
    let promptKey: Int
    let prompt: CachedPrompt
    /// Pages of the sample's own tokens.
    private(set) var pages: [Floats] = []
    /// Own tokens whose keys and values are cached (or being computed in this step).
    private(set) var cached = 0
    var tokens: [Int] = []
    var logProbabilities: [Float] = []
    /// Tokens that come next whatever the model says.
    var pending: ArraySlice<Int> = []
    /// Where such tokens stand.
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

    /// Position of the token that is next to be fed.
    var position: Int { prompt.count + cached }

    /// The prompt's pages and the sample's own.
    var stretches: [CachedAttention.Stretch] {
        func stretches(_ pages: [Floats], _ count: Int) -> [CachedAttention.Stretch] {
            pages.enumerated().map { index, page in
                .init(page: page, count: min(count - index * PagePool.pageTokens, PagePool.pageTokens))
            }
        }
        return stretches(prompt.pages, prompt.count) + stretches(pages, cached)
    }

    /// Makes room for the token about to be fed; called by one thread before a step.
    func grow() {
        if cached % PagePool.pageTokens == 0 { pages.append(pool.take()) }
        cached += 1
    }
}
