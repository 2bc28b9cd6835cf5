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
        let scratchRoom = longest + 3 * PagePool.pageTokens
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
            team.forEach(count) { item, worker in
                attend(
                    rows[first + item], tables[item], layer, index, qkv + item * projected,
                    mixed + item * configuration.queryWidth, scratch + worker * scratchRoom, epsilon)
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

    /// Norms and turns one row's heads, caches its keys and values, and attends to all of its past.
    private func attend(
        _ row: GenerationRow, _ table: RotaryTable, _ layer: LayerWeights, _ index: Int, _ qkv: Floats,
        _ output: Floats,
        _ scratch: Floats, _ epsilon: Float
    ) {
        let configuration = model.configuration
        let dimension = configuration.headDimension
        let heads = configuration.attentionHeadCount
        let keyHeads = configuration.keyValueHeadCount
        let keys = qkv + configuration.queryWidth
        if let queryNorm = layer.queryNorm, let keyNorm = layer.keyNorm {
            RMSNorm.forward(
                .alone, rows: heads, width: dimension, qkv, stride: dimension, weight: queryNorm, epsilon: epsilon,
                into: qkv, outputStride: dimension)
            RMSNorm.forward(
                .alone, rows: keyHeads, width: dimension, keys, stride: dimension, weight: keyNorm, epsilon: epsilon,
                into: keys, outputStride: dimension)
        }
        let position = row.position - 1
        RotaryEmbedding.turn(
            qkv, heads: heads + keyHeads, dimension: dimension, table.cosines(position), table.sines(position),
            backward: false)
        let slot = (row.cached - 1) % PagePool.pageTokens
        pool.write(
            keys, keys + configuration.keyValueWidth, layer: index, page: row.pages[row.pages.count - 1], slot: slot)

        let group = heads / keyHeads
        let shared = row.prompt.pages.count
        let stretches = shared + row.pages.count
        for head in 0..<heads {
            CachedAttention.forward(
                query: qkv + head * dimension, dimension: dimension, stretches: stretches,
                stretch: { part in
                    let page = part < shared ? row.prompt.pages[part] : row.pages[part - shared]
                    let left =
                        part < shared
                        ? row.prompt.count - part * PagePool.pageTokens
                        : row.cached - (part - shared) * PagePool.pageTokens
                    return CachedAttention.Stretch(
                        keys: pool.keys(page, layer: index, head: head / group), count: min(left, PagePool.pageTokens))
                }, into: output + head * dimension, scratch: scratch)
        }
    }
}
