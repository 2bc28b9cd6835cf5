import Foundation
import Parallel

/// What a layer's backward pass needs of its forward pass.
struct LayerActivations {
    /// Input `[tokens, hidden]`.
    var input: Floats
    /// Queries, keys, values `[tokens, projected]`, normed and turned.
    var queryKeyValue: Floats
    /// Queries and keys before their norms, in rows like `queryKeyValue`; only with query and key norms.
    var beforeNorms: Floats?
    /// Attention's result `[tokens, queries]` and its rows' log Σ e^score `[tokens, heads]`.
    var attention: Floats
    var normalizers: Floats
    /// Input of the feed-forward half `[tokens, hidden]`.
    var middle: Floats
    /// Gate and up projections `[tokens, 2 * intermediate]`.
    var gateUp: Floats
}

/// One part of a batch on its way through the layers, forward and back, with the memory that takes.
final class DecoderPass {
    let configuration: ModelConfiguration
    let workspace = Workspace()
    private let attention: Attention
    private(set) var tokenCount = 0
    private var tokens: [Int] = []
    private var layout = BatchLayout(PackedBatch())
    private var tables: [RotaryTable] = []
    private var activations: [LayerActivations] = []
    private var team = ThreadTeam.alone
    private var recomputes = false
    private var normed: Floats!
    private var wide: Floats!
    private var attentionScratch: Floats!

    init(_ configuration: ModelConfiguration) {
        self.configuration = configuration
        attention = Attention(configuration)
    }

    private var epsilon: Float { Float(configuration.rmsNormEpsilon) }

    /// What becomes of a layer's activations.
    enum Keeping {
        /// Nothing: only the result is wanted.
        case nothing
        /// All that `backward` needs.
        case everything
        /// Each layer's input; `backward` computes the rest again.
        case inputs
    }

    /// Runs all layers and returns the hidden states before the final norm `[tokens, hidden]`, valid until the next
    /// pass. `onLayer` sees each layer's queries, keys and values. Where nothing is kept and only some `rows` are wanted
    /// (ascending), the others' states are undefined: what follows the last layer's attention is left out for them.
    func forward(
        _ team: ThreadTeam, _ batch: PackedBatch, _ weights: DecoderWeights, rotary: RotaryTables, keeping: Keeping,
        rows: [Int]? = nil,
        onLayer: ((_ layer: Int, _ queryKeyValue: UnsafePointer<Float>) -> Void)? = nil
    ) -> Floats {
        precondition(
            batch.tokens.allSatisfy { $0 >= 0 && $0 < configuration.vocabularySize },
            "token ids outside the vocabulary; callers check with ModelConfiguration.check")
        workspace.reset()
        self.team = team
        tokens = batch.tokens
        tokenCount = tokens.count
        layout = BatchLayout(batch)
        tables = rotary.tables(layout)
        activations = []
        recomputes = keeping == .inputs
        let hidden = configuration.hiddenSize
        normed = workspace.floats(tokenCount * hidden)
        wide = workspace.floats(tokenCount * configuration.intermediateSize)
        attentionScratch = workspace.floats(
            attention.scratchCount(team, layout, backward: keeping != .nothing))

        var x = workspace.floats(tokenCount * hidden)
        tokens.withUnsafeBufferPointer {
            Embedding.forward(team, $0, width: hidden, table: weights.embedding, into: x)
        }
        var shared: LayerActivations?
        for (index, layer) in weights.layers.enumerated() {
            var current: LayerActivations
            let output: Floats
            switch keeping {
            case .nothing:
                current = shared ?? room(input: x, middle: x)
                shared = current
                output = x
            case .everything:
                current = room(input: x, middle: workspace.floats(tokenCount * hidden))
                output = workspace.floats(tokenCount * hidden)
                activations.append(current)
            case .inputs:
                current = shared ?? room(input: x, middle: workspace.floats(tokenCount * hidden))
                shared = current
                current.input = x
                output = workspace.floats(tokenCount * hidden)
                activations.append(current)
            }
            let isLast = index == weights.layers.count - 1
            forward(
                layer, current, into: output, rows: isLast && keeping == .nothing ? rows : nil,
                onLayer: { onLayer?(index, current.queryKeyValue) })
            x = output
        }
        return x
    }

    private func room(input: Floats, middle: Floats) -> LayerActivations {
        let projected = configuration.projectedWidth
        return LayerActivations(
            input: input, queryKeyValue: workspace.floats(tokenCount * projected),
            beforeNorms: configuration.qkNorm ? workspace.floats(tokenCount * projected) : nil,
            attention: workspace.floats(tokenCount * configuration.queryWidth),
            normalizers: workspace.floats(tokenCount * configuration.attentionHeadCount), middle: middle,
            gateUp: workspace.floats(tokenCount * 2 * configuration.intermediateSize))
    }

    /// One layer. `output` may be nil when only the activations are wanted again, and may be the layer's input.
    private func forward(
        _ layer: LayerWeights, _ current: LayerActivations, into output: Floats?, rows: [Int]? = nil,
        onLayer: (() -> Void)? = nil
    ) {
        var count = tokenCount
        let hidden = configuration.hiddenSize
        let projected = configuration.projectedWidth
        RMSNorm.forward(
            team, rows: count, width: hidden, current.input, stride: hidden, weight: layer.attentionNorm,
            epsilon: epsilon, into: normed, outputStride: hidden)
        layer.queryKeyValue.forward(team, rows: count, normed, into: current.queryKeyValue)
        if let before = current.beforeNorms {
            copy(current.queryKeyValue, to: before, count * projected)
            normHeads(layer, current.queryKeyValue)
        }
        turn(current.queryKeyValue, backward: false)
        onLayer?()
        attention.forward(
            team, layout, qkv: current.queryKeyValue, into: current.attention, normalizers: current.normalizers,
            scratch: attentionScratch)
        copy(current.input, to: current.middle, count * hidden)
        if let rows {
            count = rows.count
            gather(rows, of: current.attention, width: configuration.queryWidth)
            gather(rows, of: current.middle, width: hidden)
        }
        layer.attentionOutput.forward(team, rows: count, current.attention, into: current.middle, adding: true)
        RMSNorm.forward(
            team, rows: count, width: hidden, current.middle, stride: hidden, weight: layer.mlpNorm, epsilon: epsilon,
            into: normed, outputStride: hidden)
        layer.gateUp.forward(team, rows: count, normed, into: current.gateUp)
        guard let output else { return }
        SwiGLU.forward(team, rows: count, width: configuration.intermediateSize, current.gateUp, into: wide)
        copy(current.middle, to: output, count * hidden)
        layer.down.forward(team, rows: count, wide, into: output, adding: true)
        if let rows {
            for (place, row) in rows.enumerated().reversed() where place < row {
                (output + row * hidden).update(from: output + place * hidden, count: hidden)
            }
        }
    }

    /// Moves ascending rows to the front.
    private func gather(_ rows: [Int], of x: Floats, width: Int) {
        for (place, row) in rows.enumerated() where place < row {
            (x + place * width).update(from: x + row * width, count: width)
        }
    }

    private func copy(_ source: Floats, to target: Floats, _ count: Int) {
        if source == target { return }
        team.split(count, grain: 262_144) { range, _ in
            (target + range.lowerBound).update(from: source + range.lowerBound, count: range.count)
        }
    }

    private func normHeads(_ layer: LayerWeights, _ queryKeyValue: Floats) {
        let dimension = configuration.headDimension
        let projected = configuration.projectedWidth
        for (weight, first, heads) in [
            (layer.queryNorm!, 0, configuration.attentionHeadCount),
            (layer.keyNorm!, configuration.queryWidth, configuration.keyValueHeadCount),
        ] {
            for head in 0..<heads {
                let x = queryKeyValue + first + head * dimension
                RMSNorm.forward(
                    team, rows: tokenCount, width: dimension, x, stride: projected, weight: weight, epsilon: epsilon,
                    into: x, outputStride: projected)
            }
        }
    }

    private func turn(_ queryKeyValue: Floats, backward: Bool) {
        let heads = configuration.attentionHeadCount + configuration.keyValueHeadCount
        let dimension = configuration.headDimension
        let projected = configuration.projectedWidth
        // A list of all rows' positions would cost as much as walking the segments.
        team.split(layout.segments.count, grain: 1 + 8192 * layout.segments.count / (tokenCount * heads + 1)) {
            range, _ in
            for index in range {
                let segment = layout.segments[index]
                let table = tables[index]
                for (offset, row) in segment.rows.enumerated() {
                    let position = segment.firstPosition + offset
                    RotaryEmbedding.turn(
                        queryKeyValue + row * projected, heads: heads, dimension: dimension, table.cosines(position),
                        table.sines(position), backward: backward)
                }
            }
        }
    }

    /// Carries `gradient` (of what `forward` returned; overwritten) back to the embedding, adding to `gradients`.
    func backward(_ gradient: Floats, _ weights: DecoderWeights, into gradients: DecoderWeights) {
        let count = tokenCount
        let hidden = configuration.hiddenSize
        let projected = configuration.projectedWidth
        let dNormed = workspace.floats(count * hidden)
        let dQKV = workspace.floats(count * projected)
        let dAttention = workspace.floats(count * configuration.queryWidth)
        let partial = workspace.floats(team.size * max(hidden, configuration.headDimension))
        for index in weights.layers.indices.reversed() {
            let layer = weights.layers[index]
            let into = gradients.layers[index]
            let current = activations[index]
            if recomputes { forward(layer, current, into: nil) }

            // The feed-forward half; `wide` first holds the gradient of silu(g) u, then that product itself.
            layer.down.backwardInput(team, rows: count, dy: gradient, into: wide)
            SwiGLU.backward(team, rows: count, width: configuration.intermediateSize, current.gateUp, wide)
            into.down.accumulate(team, rows: count, dy: gradient, x: wide)
            layer.gateUp.backwardInput(team, rows: count, dy: current.gateUp, into: dNormed)
            RMSNorm.forward(
                team, rows: count, width: hidden, current.middle, stride: hidden, weight: layer.mlpNorm,
                epsilon: epsilon, into: normed, outputStride: hidden)
            into.gateUp.accumulate(team, rows: count, dy: current.gateUp, x: normed)
            RMSNorm.backward(
                team, rows: count, width: hidden, current.middle, stride: hidden, weight: layer.mlpNorm,
                epsilon: epsilon, dy: dNormed, dyStride: hidden, into: gradient, dxStride: hidden, adding: true,
                weightGradient: into.mlpNorm, partial: partial)

            // The attention half.
            layer.attentionOutput.backwardInput(team, rows: count, dy: gradient, into: dAttention)
            into.attentionOutput.accumulate(team, rows: count, dy: gradient, x: current.attention)
            attention.backward(
                team, layout, qkv: current.queryKeyValue, output: current.attention, normalizers: current.normalizers,
                dOutput: dAttention, into: dQKV, scratch: attentionScratch)
            turn(dQKV, backward: true)
            if let before = current.beforeNorms {
                normHeadsBackward(layer, before, dQKV, into: into, partial: partial)
            }
            layer.queryKeyValue.backwardInput(team, rows: count, dy: dQKV, into: dNormed)
            RMSNorm.forward(
                team, rows: count, width: hidden, current.input, stride: hidden, weight: layer.attentionNorm,
                epsilon: epsilon, into: normed, outputStride: hidden)
            into.queryKeyValue.accumulate(team, rows: count, dy: dQKV, x: normed)
            RMSNorm.backward(
                team, rows: count, width: hidden, current.input, stride: hidden, weight: layer.attentionNorm,
                epsilon: epsilon, dy: dNormed, dyStride: hidden, into: gradient, dxStride: hidden, adding: true,
                weightGradient: into.attentionNorm, partial: partial)
        }
        tokens.withUnsafeBufferPointer {
            Embedding.backward(team, $0, width: hidden, dx: gradient, tableGradient: gradients.embedding.floats)
        }
    }

    private func normHeadsBackward(
        _ layer: LayerWeights, _ before: Floats, _ dQKV: Floats, into: LayerWeights, partial: Floats
    ) {
        let dimension = configuration.headDimension
        let projected = configuration.projectedWidth
        for (weight, gradient, first, heads) in [
            (layer.queryNorm!, into.queryNorm!, 0, configuration.attentionHeadCount),
            (layer.keyNorm!, into.keyNorm!, configuration.queryWidth, configuration.keyValueHeadCount),
        ] {
            for head in 0..<heads {
                let offset = first + head * dimension
                RMSNorm.backward(
                    team, rows: tokenCount, width: dimension, before + offset, stride: projected, weight: weight,
                    epsilon: epsilon, dy: dQKV + offset, dyStride: projected, into: dQKV + offset, dxStride: projected,
                    adding: false, weightGradient: gradient, partial: partial)
            }
        }
    }
}

/// Rotary tables made when first needed and kept.
final class RotaryTables: @unchecked Sendable {
    private let configuration: ModelConfiguration
    private let lock = NSLock()
    private var usual: RotaryTable?
    private var stretched: [Int: RotaryTable] = [:]

    init(_ configuration: ModelConfiguration) { self.configuration = configuration }

    /// A table that reaches `length` positions of a sequence of that length.
    func table(_ length: Int) -> RotaryTable {
        lock.withLock {
            // Only dynamic scaling depends on the length, and only beyond the length trained at.
            if case .dynamic = configuration.ropeScaling, length > configuration.maxPositionEmbeddings {
                if let table = stretched[length] { return table }
                if stretched.count > 64 { stretched = [:] }
                let table = RotaryTable(configuration, length: length, sequenceLength: length)
                stretched[length] = table
                return table
            }
            if let usual, usual.length >= length { return usual }
            let reach = max(length, (usual?.length ?? 128) * 2)
            let table = RotaryTable(configuration, length: reach, sequenceLength: 1)
            usual = table
            return table
        }
    }

    /// One table a segment. Segments of one tree share keys, so they share the table of the longest.
    func tables(_ layout: BatchLayout) -> [RotaryTable] {
        var result = [RotaryTable?](repeating: nil, count: layout.segments.count)
        for tree in layout.trees {
            let table = table(tree.reduce(1) { max($0, layout.segments[$1].keyCount) })
            for index in tree { result[index] = table }
        }
        return result.compactMap { $0 }
    }
}
