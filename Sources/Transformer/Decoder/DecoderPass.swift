import CheckpointIO
import Parallel

/// Intermediate results of a layer's forward pass that its backward pass needs.
struct LayerActivations {
    /// Input `[tokens, hidden]`.
    var input: Floats
    /// Queries, keys and values `[tokens, projected]`, normed and rotated.
    var queryKeyValue: Floats
    /// Queries and keys before their norms, laid out like `queryKeyValue`; only with query and key norms.
    var beforeNorms: Floats?
    /// The result of attention `[tokens, queries]`.
    var attention: Floats
    /// log Σ e^score of attention `[tokens, heads]`.
    var normalizers: Floats
    /// Input of the MLP `[tokens, hidden]`.
    var middle: Floats
    /// Gate and up projections `[tokens, 2 * intermediate]`, or those of one range of tokens if they are recomputed.
    var gateUp: Floats
}

/// The activations that a forward pass keeps for the backward pass.
enum ActivationPolicy {
    /// None: there is no backward pass.
    case discard
    /// All activations of every layer.
    case keepAll
    /// The input of every layer; the backward pass recomputes the rest.
    case keepInputs(ActivationPrecision)

    var keepsAll: Bool { if case .keepAll = self { true } else { false } }
    var keepsNothing: Bool { if case .discard = self { true } else { false } }
}

/// The pass of one batch through the layers of a decoder, forward and optionally backward.
final class DecoderPass {
    let tokenCount: Int
    let workspace: Workspace
    /// The hidden states `[tokens, hidden]` before the final norm, valid until the workspace is used by another pass.
    private(set) var hidden: Floats
    private let configuration: ModelConfiguration
    private let team: ThreadTeam
    private let tokens: [Int]
    private let layout: BatchLayout
    private let tables: [RotaryTable]
    private let policy: ActivationPolicy
    /// The first layer that the backward pass needs.
    private let firstKept: Int
    private let dropout: AdapterDropout?
    private let attention: Attention
    private var activations: [LayerActivations] = []
    /// The layers' inputs in bfloat16, if they are kept so.
    private var keptInputs: [UnsafeMutablePointer<UInt16>] = []
    /// Tokens whose MLP is computed at a time, which bounds scratch memory.
    ///
    /// It is the same for all policies, so that sums over tokens have the same bits.
    static let mlpTokens = 4096
    // Scratch shared by all layers; `wide` is `[mlpTokens, intermediate]`.
    private let normed: Floats
    private let wide: Floats
    private let attentionScratch: Floats

    /// Prepares a pass, which takes over `workspace`; activations are kept of the layers from `firstKept` on.
    init(
        _ configuration: ModelConfiguration, _ workspace: Workspace, _ team: ThreadTeam, _ batch: PackedBatch,
        rotary: RotaryTables, _ policy: ActivationPolicy, firstKept: Int = 0, dropout: AdapterDropout? = nil
    ) {
        precondition(
            batch.tokens.allSatisfy { $0 >= 0 && $0 < configuration.vocabularySize },
            "token ids outside the vocabulary; callers check with ModelConfiguration.check")
        workspace.reset()
        self.configuration = configuration
        self.workspace = workspace
        self.team = team
        self.policy = policy
        self.firstKept = firstKept
        self.dropout = dropout
        tokens = batch.tokens
        tokenCount = tokens.count
        layout = BatchLayout(batch)
        tables = rotary.tables(layout)
        attention = Attention(configuration)
        normed = workspace.floats(tokenCount * configuration.hiddenSize)
        wide = workspace.floats(min(tokenCount, Self.mlpTokens) * configuration.intermediateSize)
        attentionScratch = workspace.floats(attention.scratchCount(team, layout, backward: !policy.keepsNothing))
        hidden = workspace.floats(tokenCount * configuration.hiddenSize)
    }

    private var epsilon: Float { Float(configuration.rmsNormEpsilon) }

    /// Runs all layers; the result is in `hidden`.
    ///
    /// - Parameters:
    ///   - weights: the model's parameters.
    ///   - rows: the only rows whose hidden states are needed, ascending; nil for all. With `discard`, everything after
    ///     the last layer's attention is skipped for the others, whose hidden states are then undefined.
    ///   - onLayer: receives each layer's queries, keys and values `[tokens, projected]`.
    func forward(
        _ weights: DecoderWeights, rows: [Int]? = nil,
        onLayer: ((_ layer: Int, _ queryKeyValue: UnsafePointer<Float>) -> Void)? = nil
    ) {
        let hiddenCount = tokenCount * configuration.hiddenSize
        tokens.withUnsafeBufferPointer {
            Embedding.forward(team, $0, width: configuration.hiddenSize, table: weights.embedding, into: hidden)
        }
        var shared: LayerActivations?
        for (index, layer) in weights.layers.enumerated() {
            var current: LayerActivations
            let output: Floats
            switch index < firstKept ? .discard : policy {
            case .discard:
                current = shared ?? allocateActivations(input: hidden, middle: hidden)
                shared = current
                output = hidden
            case .keepAll:
                current = allocateActivations(input: hidden, middle: workspace.floats(hiddenCount))
                output = workspace.floats(hiddenCount)
                activations.append(current)
            case .keepInputs(let precision):
                if index == firstKept { shared?.middle = workspace.floats(hiddenCount) }
                current = shared ?? allocateActivations(input: hidden, middle: workspace.floats(hiddenCount))
                shared = current
                current.input = hidden
                activations.append(current)
                switch precision {
                case .fp32: output = workspace.floats(hiddenCount)
                case .bf16:
                    keptInputs.append(keepInput(hiddenCount))
                    output = hidden
                }
            }
            let isLast = index == weights.layers.count - 1
            forward(
                layer, current, into: output, rows: isLast && policy.keepsNothing ? rows : nil,
                onLayer: { onLayer?(index, current.queryKeyValue) })
            hidden = output
        }
    }

    private func allocateActivations(input: Floats, middle: Floats) -> LayerActivations {
        let projected = configuration.projectedWidth
        return LayerActivations(
            input: input, queryKeyValue: workspace.floats(tokenCount * projected),
            beforeNorms: configuration.qkNorm ? workspace.floats(tokenCount * projected) : nil,
            attention: workspace.floats(tokenCount * configuration.queryWidth),
            normalizers: workspace.floats(tokenCount * configuration.attentionHeadCount), middle: middle,
            gateUp: workspace.floats(
                (policy.keepsAll ? tokenCount : min(tokenCount, Self.mlpTokens)) * 2 * configuration.intermediateSize))
    }

    /// Copies `hidden`, rounded to bfloat16.
    private func keepInput(_ count: Int) -> UnsafeMutablePointer<UInt16> {
        let hidden = hidden
        return workspace.floats((count + 1) / 2).withMemoryRebound(to: UInt16.self, capacity: count) { halves in
            team.split(count, grain: 65_536) { range, _ in
                for i in range { halves[i] = BFloat16.rounded(hidden[i]) }
            }
            return halves
        }
    }

    /// Writes the input of a layer that was kept in bfloat16 to `activations`.
    private func restoreInput(_ index: Int) {
        guard index < keptInputs.count else { return }
        let (halves, input) = (keptInputs[index], activations[index].input)
        team.split(tokenCount * configuration.hiddenSize, grain: 65_536) { range, _ in
            BFloat16.widen(halves + range.lowerBound, into: input + range.lowerBound, range.count)
        }
    }

    /// The ranges of tokens whose MLP is computed at a time.
    private func mlpRanges(_ count: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: Self.mlpTokens).map { $0..<min(count, $0 + Self.mlpTokens) }
    }

    /// The gate and up projections of tokens from `first` on.
    private func gateUp(_ current: LayerActivations, from first: Int) -> Floats {
        policy.keepsAll ? current.gateUp + first * 2 * configuration.intermediateSize : current.gateUp
    }

    /// Runs one layer.
    ///
    /// `output` may be the layer's input, and is nil if only the activations up to the MLP are recomputed.
    private func forward(
        _ layer: LayerWeights, _ current: LayerActivations, into output: Floats?, rows: [Int]? = nil,
        onLayer: (() -> Void)? = nil
    ) {
        var count = tokenCount
        let width = configuration.hiddenSize
        norm(current.input, layer.attentionNorm, rows: count)
        layer.queryKeyValue.forward(team, rows: count, normed, into: current.queryKeyValue, dropout: dropout)
        if let before = current.beforeNorms {
            copy(current.queryKeyValue, to: before, count * configuration.projectedWidth)
            normHeads(layer, current.queryKeyValue)
        }
        if layer.attention.rotates { applyRotary(current.queryKeyValue, backward: false) }
        onLayer?()
        attention.forward(
            team, layout, window: layer.attention.window, qkv: current.queryKeyValue, into: current.attention,
            normalizers: current.normalizers, scratch: attentionScratch)
        copy(current.input, to: current.middle, count * width)
        if let rows {
            count = rows.count
            gather(rows, of: current.attention, width: configuration.queryWidth)
            gather(rows, of: current.middle, width: width)
        }
        layer.attentionOutput.forward(
            team, rows: count, current.attention, into: current.middle, adding: true, dropout: dropout)
        guard let output else { return }
        for range in mlpRanges(count) {
            let gateUp = gateUp(current, from: range.lowerBound)
            let dropout = dropout?.fromRow(range.lowerBound)
            let start = range.lowerBound * width
            norm(current.middle + start, layer.mlpNorm, rows: range.count)
            layer.gateUp.forward(team, rows: range.count, normed, into: gateUp, dropout: dropout)
            SwiGLU.forward(team, rows: range.count, width: configuration.intermediateSize, gateUp, into: wide)
            copy(current.middle + start, to: output + start, range.count * width)
            layer.down.forward(team, rows: range.count, wide, into: output + start, adding: true, dropout: dropout)
        }
        if let rows {
            for (place, row) in rows.enumerated().reversed() where place < row {
                (output + row * width).update(from: output + place * width, count: width)
            }
        }
    }

    /// Writes the norm of `x` `[rows, hidden]` to `normed`.
    private func norm(_ x: Floats, _ weight: Floats, rows: Int) {
        let width = configuration.hiddenSize
        RMSNorm.forward(
            team, rows: rows, width: width, x, stride: width, weight: weight, epsilon: epsilon, into: normed,
            outputStride: width)
    }

    /// Moves the given rows, ascending, to the front.
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
            (layer.queryNorm, 0, configuration.attentionHeadCount),
            (layer.keyNorm, configuration.queryWidth, configuration.keyValueHeadCount),
        ] {
            guard let weight else { continue }
            for head in 0..<heads {
                let x = queryKeyValue + first + head * dimension
                RMSNorm.forward(
                    team, rows: tokenCount, width: dimension, x, stride: projected, weight: weight, epsilon: epsilon,
                    into: x, outputStride: projected)
            }
        }
    }

    /// Rotates the queries and keys of all tokens in place.
    private func applyRotary(_ queryKeyValue: Floats, backward: Bool) {
        let heads = configuration.attentionHeadCount + configuration.keyValueHeadCount
        let dimension = configuration.headDimension
        let projected = configuration.projectedWidth
        // Threads share out segments, because a list of all rows' positions would cost as much as the rotation.
        team.split(layout.segments.count, grain: 1 + 8192 * layout.segments.count / (tokenCount * heads + 1)) {
            range, _ in
            for index in range {
                let segment = layout.segments[index]
                let table = tables[index]
                for (offset, row) in segment.rows.enumerated() {
                    let position = segment.firstPosition + offset
                    RotaryEmbedding.applyRotary(
                        queryKeyValue + row * projected, heads: heads, dimension: dimension,
                        rotated: configuration.rotaryDimension, table.cosines(position), table.sines(position),
                        backward: backward)
                }
            }
        }
    }

    /// Backpropagates through the layers from `firstKept` on and adds the parameters' gradients to `gradients`.
    ///
    /// `gradient` holds the gradient of `hidden` and is overwritten.
    func backward(_ gradient: Floats, _ weights: DecoderWeights, into gradients: DecoderGradients) {
        let count = tokenCount
        let width = configuration.hiddenSize
        let dNormed = workspace.floats(count * width)
        let dQKV = workspace.floats(count * configuration.projectedWidth)
        let dAttention = workspace.floats(count * configuration.queryWidth)
        let partial = workspace.floats(team.size * max(width, configuration.headDimension))
        for (place, current) in activations.enumerated().reversed() {
            let layer = weights.layers[firstKept + place]
            let into = gradients.layers[firstKept + place]
            if !policy.keepsAll {
                restoreInput(place)
                forward(layer, current, into: nil)
            }
            for range in mlpRanges(count) {
                mlpBackward(layer, current, range, gradient, dNormed, into: into, partial)
            }

            // Attention.
            layer.attentionOutput.backwardInput(team, rows: count, dy: gradient, into: dAttention, dropout: dropout)
            into.attentionOutput.accumulate(team, rows: count, dy: gradient, x: current.attention, dropout: dropout)
            attention.backward(
                team, layout, window: layer.attention.window, qkv: current.queryKeyValue, output: current.attention,
                normalizers: current.normalizers, dOutput: dAttention, into: dQKV, scratch: attentionScratch)
            if layer.attention.rotates { applyRotary(dQKV, backward: true) }
            if let before = current.beforeNorms {
                normHeadsBackward(layer, before, dQKV, into: into, partial: partial)
            }
            layer.queryKeyValue.backwardInput(team, rows: count, dy: dQKV, into: dNormed, dropout: dropout)
            norm(current.input, layer.attentionNorm, rows: count)
            into.queryKeyValue.accumulate(team, rows: count, dy: dQKV, x: normed, dropout: dropout)
            normBackward(
                current.input, layer.attentionNorm, rows: count, dy: dNormed, into: gradient,
                weightGradient: into.attentionNorm, partial)
        }
        guard let embedding = gradients.embedding else { return }
        tokens.withUnsafeBufferPointer {
            Embedding.backward(
                team, $0, width: width, dx: gradient, tableGradient: embedding, places: gradients.embeddingPlaces,
                roundingKey: gradients.nextRoundingKey)
        }
    }

    /// Backpropagates through the MLP of the tokens in `range`.
    ///
    /// `gradient` is that of the layer's output, then of `middle`.
    private func mlpBackward(
        _ layer: LayerWeights, _ current: LayerActivations, _ range: Range<Int>, _ gradient: Floats, _ dNormed: Floats,
        into: LayerGradients, _ partial: Floats
    ) {
        let count = range.count
        let dropout = dropout?.fromRow(range.lowerBound)
        let middle = current.middle + range.lowerBound * configuration.hiddenSize
        let gradient = gradient + range.lowerBound * configuration.hiddenSize
        let gateUp = gateUp(current, from: range.lowerBound)
        norm(middle, layer.mlpNorm, rows: count)
        if !policy.keepsAll { layer.gateUp.forward(team, rows: count, normed, into: gateUp, dropout: dropout) }
        // `wide` first holds the gradient of silu(g) u, then silu(g) u.
        layer.down.backwardInput(team, rows: count, dy: gradient, into: wide, dropout: dropout)
        SwiGLU.backward(team, rows: count, width: configuration.intermediateSize, gateUp, wide)
        into.down.accumulate(team, rows: count, dy: gradient, x: wide, dropout: dropout)
        layer.gateUp.backwardInput(team, rows: count, dy: gateUp, into: dNormed, dropout: dropout)
        into.gateUp.accumulate(team, rows: count, dy: gateUp, x: normed, dropout: dropout)
        normBackward(
            middle, layer.mlpNorm, rows: count, dy: dNormed, into: gradient, weightGradient: into.mlpNorm, partial)
    }

    /// Adds the gradient of a norm's input to `gradient` `[rows, hidden]`, and that of its weight.
    private func normBackward(
        _ x: Floats, _ weight: Floats, rows: Int, dy: Floats, into gradient: Floats, weightGradient: Floats?,
        _ partial: Floats
    ) {
        let width = configuration.hiddenSize
        RMSNorm.backward(
            team, rows: rows, width: width, x, stride: width, weight: weight, epsilon: epsilon, dy: dy,
            dyStride: width, into: gradient, dxStride: width, adding: true, weightGradient: weightGradient,
            partial: partial)
    }

    private func normHeadsBackward(
        _ layer: LayerWeights, _ before: Floats, _ dQKV: Floats, into: LayerGradients, partial: Floats
    ) {
        let dimension = configuration.headDimension
        let projected = configuration.projectedWidth
        for (weight, gradient, first, heads) in [
            (layer.queryNorm, into.queryNorm, 0, configuration.attentionHeadCount),
            (layer.keyNorm, into.keyNorm, configuration.queryWidth, configuration.keyValueHeadCount),
        ] {
            guard let weight else { continue }
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
