/// A sample that is being generated.
final class GenerationRow: @unchecked Sendable {
    let request: Int
    let sample: Int
    let promptKey: Int
    let sampleKey: Int
    /// The number of tokens of the request's prompt.
    let promptCount: Int
    /// The start of the cached text; nil while the row has no cache.
    private(set) var prompt: CachedPrompt?
    /// Pages for the tokens after `prompt`.
    private(set) var pages: [UnsafeMutableRawPointer] = []
    /// The number of tokens after `prompt` that are cached or computed in this step.
    private(set) var cached = 0
    /// The tokens of the sample.
    var tokens: [Int] = []
    var logProbabilities: [Float] = []
    /// Tokens that are inserted next instead of drawn ones.
    var pending: ArraySlice<Int> = []
    /// The range of inserted tokens in `tokens`.
    var inserted: Range<Int>?
    private let pool: PagePool

    init(
        _ pool: PagePool, request: Int, sample: Int, promptKey: Int, sampleKey: Int, promptCount: Int,
        prompt: CachedPrompt
    ) {
        self.pool = pool
        self.request = request
        self.sample = sample
        self.promptKey = promptKey
        self.sampleKey = sampleKey
        self.promptCount = promptCount
        self.prompt = prompt
    }

    deinit { pool.giveBack(pages) }

    /// The number of tokens of prompt and sample.
    var textCount: Int { promptCount + tokens.count }

    /// The number of tokens that are cached or computed in this step.
    var position: Int { (prompt?.count ?? 0) + cached }

    /// The last of these tokens, which the step feeds.
    var fedToken: Int { tokens[position - 1 - promptCount] }

    /// Whether the token after the fed one is known, because the row's cache is computed again.
    var isReplaying: Bool { position - promptCount < tokens.count }

    /// The pages of the prompt and of the sample.
    var allPages: [KVPage] {
        func valid(_ pages: [UnsafeMutableRawPointer], _ count: Int) -> [KVPage] {
            pages.prefix(KVPage.count(tokens: count)).enumerated().map { index, page in
                KVPage(start: page, count: min(count - index * KVPage.tokens, KVPage.tokens))
            }
        }
        return (prompt.map { valid($0.pages, $0.count) } ?? []) + valid(pages, cached)
    }

    /// Gives back the cache, and keeps the tokens.
    func release() {
        pool.giveBack(pages)
        pages = []
        cached = 0
        prompt = nil
    }

    /// Continues after `prompt` without further cached tokens.
    func move(to prompt: CachedPrompt) {
        release()
        self.prompt = prompt
    }

    /// The pages that `count` further tokens need.
    func pagesNeeded(for count: Int) -> Int { max(0, KVPage.count(tokens: cached + count) - pages.count) }

    /// Allocates memory for `count` further tokens; called by one thread, as is `grow`.
    func reserve(_ count: Int) { pages += pool.take(pagesNeeded(for: count)) }

    /// Adds a token whose keys and values are computed next.
    func grow() {
        reserve(1)
        cached += 1
    }
}
