/// Computes the next token of many sequences at once, each with one new token and its cached past.
final class DecodeStep {
    private let model: Model
    private let pool: PagePool
    private let workspace = Workspace()

    init(_ model: Model, _ pool: PagePool) {
        self.model = model
        self.pool = pool
    }

    /// Feeds each row's last token and writes the logits of what follows `[rows, vocabulary]`; valid until the next
    /// call. Rows must have been grown.
    func logits(_ team: Team, _ rows: ArraySlice<GenerationRow>) -> Floats {
        let configuration = model.configuration
        let weights = model.weights
        let count = rows.count
        let hidden = configuration.hiddenSize
        let projected = configuration.projectedWidth
        let middle = configuration.intermediateSize
        let epsilon = Float(configuration.rmsNormEpsilon)
        let longest = rows.reduce(1) { max($0, $1.position) }
        let tables = rows.map { model.rotary.table($0.position) }

        workspace.reset()
        let x = workspace.floats(count * hidden)
        let normed = workspace.floats(count * hidden)
        let qkv = workspace.floats(count * projected)
        let mixed = workspace.floats(count * configuration.queryWidth)
        let gateUp = workspace.floats(count * 2 * middle)
        let product = workspace.floats(count * middle)
        let logits = workspace.floats(count * configuration.vocabularySize)
        let group = configuration.attentionHeadCount / configuration.keyValueHeadCount
        let scratchRoom = group * (longest + 3 * PagePool.pageTokens)
        let scratch = workspace.floats(team.size * scratchRoom)
        let first = rows.startIndex

        for (index, row) in rows.enumerated() {
            let token = row.tokens[row.tokens.count - 1]
            weights.embedding.copyRow(token, to: x + index * hidden)
        }
        for (index, layer) in weights.layers.enumerated() {
            RMSNorm.forward(
                team, rows: count, width: hidden, x, stride: hidden, weight: layer.attentionNorm, epsilon: epsilon,
                into: normed, outputStride: hidden)
            layer.queryKeyValue.forward(team, rows: count, normed, into: qkv)
            let keyHeads = configuration.keyValueHeadCount
            team.forEach(count * keyHeads) { item, worker in
                let row = item / keyHeads
                attend(
                    rows[first + row], tables[row], layer, index, item % keyHeads, qkv + row * projected,
                    mixed + row * configuration.queryWidth, scratch + worker * scratchRoom, epsilon)
            }
            layer.attentionOutput.forward(team, rows: count, mixed, into: x, adding: true)
            RMSNorm.forward(
                team, rows: count, width: hidden, x, stride: hidden, weight: layer.mlpNorm, epsilon: epsilon,
                into: normed, outputStride: hidden)
            layer.gateUp.forward(team, rows: count, normed, into: gateUp)
            SwiGLU.forward(team, rows: count, width: middle, gateUp, into: product)
            layer.down.forward(team, rows: count, product, into: x, adding: true)
        }
        RMSNorm.forward(
            team, rows: count, width: hidden, x, stride: hidden, weight: weights.finalNorm, epsilon: epsilon,
            into: normed, outputStride: hidden)
        weights.head.apply(team, count, normed, into: logits, stride: configuration.vocabularySize)
        return logits
    }

    /// Norms and turns one row's heads that share a key head, caches its keys and values, and attends to all of its past.
    private func attend(
        _ row: GenerationRow, _ table: RotaryTable, _ layer: LayerWeights, _ index: Int, _ keyHead: Int, _ qkv: Floats,
        _ output: Floats, _ scratch: Floats, _ epsilon: Float
    ) {
        let configuration = model.configuration
        let dimension = configuration.headDimension
        let group = configuration.attentionHeadCount / configuration.keyValueHeadCount
        let first = keyHead * group * dimension
        let queries = qkv + first
        let key = qkv + (configuration.queryWidth + keyHead * dimension)
        if let queryNorm = layer.queryNorm, let keyNorm = layer.keyNorm {
            RMSNorm.forward(
                .alone, rows: group, width: dimension, queries, stride: dimension, weight: queryNorm, epsilon: epsilon,
                into: queries, outputStride: dimension)
            RMSNorm.forward(
                .alone, rows: 1, width: dimension, key, stride: dimension, weight: keyNorm, epsilon: epsilon,
                into: key, outputStride: dimension)
        }
        let position = row.position - 1
        let (cosines, sines) = (table.cosines(position), table.sines(position))
        RotaryEmbedding.turn(queries, heads: group, dimension: dimension, cosines, sines, backward: false)
        RotaryEmbedding.turn(key, heads: 1, dimension: dimension, cosines, sines, backward: false)
        pool.write(
            key, key + configuration.keyValueWidth, layer: index, head: keyHead, page: row.pages[row.pages.count - 1],
            slot: (row.cached - 1) % PagePool.pageTokens)

        let shared = row.prompt.pages.count
        let stretches = shared + row.pages.count
        CachedAttention.forward(
            queries: queries, heads: group, dimension: dimension, stretches: stretches,
            stretch: { part in
                let page = part < shared ? row.prompt.pages[part] : row.pages[part - shared]
                let left =
                    part < shared
                    ? row.prompt.count - part * PagePool.pageTokens
                    : row.cached - (part - shared) * PagePool.pageTokens
                return CachedAttention.Stretch(
                    keys: pool.keys(page, layer: index, head: keyHead), count: min(left, PagePool.pageTokens))
            }, into: output + first, scratch: scratch)
    }
}
