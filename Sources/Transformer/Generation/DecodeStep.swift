import Parallel

/// Computes the logits of the next token for several samples at once, each with one new token and its cached past.
final class DecodeStep {
    private let model: Model
    private let pool: PagePool
    private let workspace = Workspace()
    // Copies, because the configuration is too large to be copied for every head.
    private let dimension: Int
    private let group: Int
    private let queryWidth: Int
    private let keyValueWidth: Int
    private let rotated: Int
    private let epsilon: Float
    /// Whether products may be those that are fastest for one row.
    private let favorsFewRows: Bool

    init(_ model: Model, _ pool: PagePool, favorsFewRows: Bool) {
        self.favorsFewRows = favorsFewRows
        self.model = model
        self.pool = pool
        let configuration = model.configuration
        dimension = configuration.headDimension
        group = configuration.attentionHeadCount / configuration.keyValueHeadCount
        queryWidth = configuration.queryWidth
        keyValueWidth = configuration.keyValueWidth
        rotated = configuration.rotaryDimension
        epsilon = Float(configuration.rmsNormEpsilon)
    }

    /// The past of one row.
    private struct Past {
        /// Rotations of the new token's position.
        var cosines: UnsafePointer<Float>
        var sines: UnsafePointer<Float>
        /// All cached tokens, including the new one.
        var pages: UnsafeBufferPointer<KVPage>
        /// The number of cached tokens.
        var count: Int
        /// The page and the slot in it that the new token is written to.
        var page: UnsafeMutableRawPointer
        var slot: Int

        /// The pages with the last `window` tokens, and the number of earlier tokens in the first of these pages.
        func pages(window: Int?) -> (UnsafeBufferPointer<KVPage>, skipped: Int) {
            guard let window, window < count else { return (pages, 0) }
            var hidden = count - window
            var first = 0
            while hidden >= pages[first].count {
                hidden -= pages[first].count
                first += 1
            }
            return (UnsafeBufferPointer(rebasing: pages[first...]), hidden)
        }
    }

    /// Feeds each row's next token and returns the logits of the one after it `[rows, vocabulary]`, valid until the
    /// next call.
    ///
    /// Call `grow` on every row first.
    func logits(_ team: ThreadTeam, _ rows: ArraySlice<GenerationRow>) -> Floats {
        let tables = rows.map { model.rotary.table($0.position) }
        let pages = rows.map { $0.allPages }
        return withExtendedLifetime(tables) {
            pages.flatMap { $0 }.withUnsafeBufferPointer { all in
                var end = 0
                let pasts = zip(rows, zip(tables, pages)).map { row, rest in
                    let (table, own) = rest
                    end += own.count
                    return Past(
                        cosines: table.cosines(row.position - 1), sines: table.sines(row.position - 1),
                        pages: UnsafeBufferPointer(rebasing: all[(end - own.count)..<end]), count: row.position,
                        page: row.pages[(row.cached - 1) / KVPage.tokens], slot: (row.cached - 1) % KVPage.tokens)
                }
                return logits(team, rows.map(\.fedToken), pasts)
            }
        }
    }

    private func logits(_ team: ThreadTeam, _ tokens: [Int], _ pasts: [Past]) -> Floats {
        let configuration = model.configuration
        let weights = model.weights
        let count = tokens.count
        let hidden = configuration.hiddenSize
        let projected = configuration.projectedWidth
        let middle = configuration.intermediateSize
        let longest = pasts.reduce(1) { max($0, $1.pages.count) }

        workspace.reset()
        let x = workspace.floats(count * hidden)
        let normed = workspace.floats(count * hidden)
        let qkv = workspace.floats(count * projected)
        let mixed = workspace.floats(count * queryWidth)
        let gateUp = workspace.floats(count * 2 * middle)
        let product = workspace.floats(count * middle)
        let logits = workspace.floats(count * configuration.vocabularySize)
        let scratchCount = group * longest * KVPage.tokens
        let scratch = workspace.floats(team.size * scratchCount)
        let keyHeads = configuration.keyValueHeadCount
        // Heads of one row in sequence prefetch each other's keys; only a few rows are shared out by heads.
        let together = count >= 4 * team.size ? keyHeads : 1
        for (index, token) in tokens.enumerated() {
            weights.embedding.copyRow(token, to: x + index * hidden)
        }
        for (index, layer) in weights.layers.enumerated() {
            RMSNorm.forward(
                team, rows: count, width: hidden, x, stride: hidden, weight: layer.attentionNorm, epsilon: epsilon,
                into: normed, outputStride: hidden)
            layer.queryKeyValue.forward(team, rows: count, normed, into: qkv, favorsFewRows: favorsFewRows)
            team.forEach(count * keyHeads / together) { item, worker in
                for part in (item * together)..<((item + 1) * together) {
                    let row = part / keyHeads
                    attend(
                        pasts[row], layer, index, part % keyHeads, qkv + row * projected, mixed + row * queryWidth,
                        scratch + worker * scratchCount)
                }
            }
            layer.attentionOutput.forward(
                team, rows: count, mixed, into: x, adding: true, favorsFewRows: favorsFewRows)
            RMSNorm.forward(
                team, rows: count, width: hidden, x, stride: hidden, weight: layer.mlpNorm, epsilon: epsilon,
                into: normed, outputStride: hidden)
            layer.gateUp.forward(team, rows: count, normed, into: gateUp, favorsFewRows: favorsFewRows)
            SwiGLU.forward(team, rows: count, width: middle, gateUp, into: product)
            layer.down.forward(team, rows: count, product, into: x, adding: true, favorsFewRows: favorsFewRows)
        }
        RMSNorm.forward(
            team, rows: count, width: hidden, x, stride: hidden, weight: weights.finalNorm, epsilon: epsilon,
            into: normed, outputStride: hidden)
        weights.head.forward(team, rows: count, normed, into: logits, favorsFewRows: favorsFewRows)
        return logits
    }

    /// Computes attention of one row's heads that share a key head: norms, rotation, caching of key and value,
    /// attention.
    private func attend(
        _ past: Past, _ layer: LayerWeights, _ index: Int, _ keyHead: Int, _ qkv: Floats, _ output: Floats,
        _ scratch: Floats
    ) {
        let first = keyHead * group * dimension
        let queries = qkv + first
        let key = qkv + (queryWidth + keyHead * dimension)
        if let queryNorm = layer.queryNorm, let keyNorm = layer.keyNorm {
            RMSNorm.forward(
                .alone, rows: group, width: dimension, queries, stride: dimension, weight: queryNorm, epsilon: epsilon,
                into: queries, outputStride: dimension)
            RMSNorm.forward(
                .alone, rows: 1, width: dimension, key, stride: dimension, weight: keyNorm, epsilon: epsilon,
                into: key, outputStride: dimension)
        }
        if layer.attention.rotates {
            RotaryEmbedding.applyRotary(
                queries, heads: group, dimension: dimension, rotated: rotated, past.cosines, past.sines,
                backward: false)
            RotaryEmbedding.applyRotary(
                key, heads: 1, dimension: dimension, rotated: rotated, past.cosines, past.sines, backward: false)
        }
        pool.write(
            key, key + keyValueWidth, layer: index, head: keyHead, page: past.page, slot: past.slot)
        let (pages, skipped) = past.pages(window: layer.attention.window)
        CachedAttention.forward(
            queries: queries, heads: group, dimension: dimension, pages: pages, pool.precision, skipping: skipped,
            offset: pool.offset(layer: index, head: keyHead), into: output + first, scratch: scratch)
    }
}
