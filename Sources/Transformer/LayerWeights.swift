import Parallel

/// One projection y = x Wᵀ + b: matrices that lie next to each other in memory count as one.
struct Projection {
    struct BiasPart {
        var bias: Floats
        var column: Int
        var count: Int
    }
    let inputs: Int
    private(set) var outputs = 0
    private(set) var parts: [WeightMatrix] = []
    private(set) var biases: [BiasPart] = []

    init(
        _ parameters: some ParameterStore, _ products: ProductPrecision, prefix: String, _ names: [String], inputs: Int,
        outputs: [Int]
    ) {
        self.inputs = inputs
        for (name, rows) in zip(names, outputs) {
            var weight = parameters.matrix(prefix + name + ".weight")!
            weight.precision = products
            if let both = parts.last?.joined(with: weight) {
                parts[parts.count - 1] = both
            } else {
                parts.append(weight)
            }
            if let bias = parameters.vector(prefix + name + ".bias") {
                biases.append(BiasPart(bias: bias, column: self.outputs, count: rows))
            }
            self.outputs += rows
        }
    }

    /// y[rows, outputs] = x[rows, inputs] Wᵀ + b (+ y where `adding`).
    func forward(_ team: ThreadTeam, rows: Int, _ x: UnsafePointer<Float>, into y: Floats, adding: Bool = false) {
        var column = 0
        for part in parts {
            part.apply(team, rows, x, into: y + column, stride: outputs, adding: adding)
            column += part.rows
        }
        for part in biases {
            Bias.add(team, rows: rows, width: part.count, part.bias, to: y + part.column, stride: outputs)
        }
    }

    /// dx[rows, inputs] = dy[rows, outputs] W
    func backwardInput(_ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, into dx: Floats) {
        var column = 0
        for part in parts {
            part.carryBack(team, rows, dy: dy + column, stride: outputs, into: dx, adding: column > 0)
            column += part.rows
        }
    }

    /// With `self` the gradient's projection: dW += dyᵀ x, db += Σ dy.
    func accumulate(_ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, x: UnsafePointer<Float>) {
        var column = 0
        for part in parts {
            part.accumulate(team, rows, dy: dy + column, stride: outputs, x: x)
            column += part.rows
        }
        for part in biases {
            Bias.accumulate(rows: rows, width: part.count, dy + part.column, stride: outputs, into: part.bias)
        }
    }
}

/// One decoder layer's parameters (or their gradients), where they lie in the flat buffer.
struct LayerWeights {
    let attentionNorm: Floats
    let queryKeyValue: Projection
    let queryNorm: Floats?
    let keyNorm: Floats?
    let attentionOutput: Projection
    let mlpNorm: Floats
    let gateUp: Projection
    let down: Projection

    init(_ parameters: some ParameterStore, _ products: ProductPrecision, layer: Int) {
        let configuration = parameters.configuration
        let prefix = "model.layers.\(layer)."
        let hidden = configuration.hiddenSize
        let middle = configuration.intermediateSize
        let queries = configuration.queryWidth
        let keys = configuration.keyValueWidth
        attentionNorm = parameters.vector(prefix + "input_layernorm.weight")!
        mlpNorm = parameters.vector(prefix + "post_attention_layernorm.weight")!
        queryNorm = parameters.vector(prefix + "self_attn.q_norm.weight")
        keyNorm = parameters.vector(prefix + "self_attn.k_norm.weight")
        queryKeyValue = Projection(
            parameters, products, prefix: prefix + "self_attn.", ["q_proj", "k_proj", "v_proj"], inputs: hidden,
            outputs: [queries, keys, keys])
        attentionOutput = Projection(
            parameters, products, prefix: prefix + "self_attn.", ["o_proj"], inputs: queries, outputs: [hidden])
        gateUp = Projection(
            parameters, products, prefix: prefix + "mlp.", ["gate_proj", "up_proj"], inputs: hidden,
            outputs: [middle, middle])
        down = Projection(
            parameters, products, prefix: prefix + "mlp.", ["down_proj"], inputs: middle, outputs: [hidden])
    }
}

/// All parameters of a decoder (or their gradients) by role.
struct DecoderWeights {
    let embedding: WeightMatrix
    let layers: [LayerWeights]
    let finalNorm: Floats
    /// `[vocabulary, hidden]`; the embedding itself where tied.
    let head: WeightMatrix

    init(_ parameters: some ParameterStore, products: ProductPrecision) {
        embedding = parameters.matrix("model.embed_tokens.weight")!
        layers = (0..<parameters.configuration.layerCount).map { LayerWeights(parameters, products, layer: $0) }
        finalNorm = parameters.vector("model.norm.weight")!
        var head = parameters.matrix("lm_head.weight") ?? embedding
        head.precision = products
        self.head = head
    }
}
