/// One projection y = x Wᵀ + b: matrices that lie next to each other in memory count as one.
struct Projection {
    struct Part {
        var weight: Floats
        var rows: Int
    }
    struct BiasPart {
        var bias: Floats
        var column: Int
        var count: Int
    }
    let inputs: Int
    private(set) var outputs = 0
    private(set) var parts: [Part] = []
    private(set) var biases: [BiasPart] = []

    init(_ parameters: ModelParameters, prefix: String, _ names: [String], inputs: Int, outputs: [Int]) {
        self.inputs = inputs
        for (name, rows) in zip(names, outputs) {
            let weight = parameters.pointer(prefix + name + ".weight")!
            if let last = parts.last, last.weight + last.rows * inputs == weight {
                parts[parts.count - 1].rows += rows
            } else {
                parts.append(Part(weight: weight, rows: rows))
            }
            if let bias = parameters.pointer(prefix + name + ".bias") {
                biases.append(BiasPart(bias: bias, column: self.outputs, count: rows))
            }
            self.outputs += rows
        }
    }

    /// y[rows, outputs] = x[rows, inputs] Wᵀ + b (+ y where `adding`).
    func forward(_ team: Team, rows: Int, _ x: UnsafePointer<Float>, into y: Floats, adding: Bool = false) {
        var column = 0
        for part in parts {
            MatrixProduct.timesTransposed(
                team, rows, part.rows, inputs, x, inputs, part.weight, inputs, y + column, outputs, adding: adding)
            column += part.rows
        }
        for part in biases {
            Bias.add(team, rows: rows, width: part.count, part.bias, to: y + part.column, stride: outputs)
        }
    }

    /// dx[rows, inputs] = dy[rows, outputs] W
    func backwardInput(_ team: Team, rows: Int, dy: UnsafePointer<Float>, into dx: Floats) {
        var column = 0
        for part in parts {
            MatrixProduct.times(
                team, rows, inputs, part.rows, dy + column, outputs, part.weight, inputs, dx, inputs, adding: column > 0
            )
            column += part.rows
        }
    }

    /// With `self` the gradient's projection: dW += dyᵀ x, db += Σ dy.
    func accumulate(_ team: Team, rows: Int, dy: UnsafePointer<Float>, x: UnsafePointer<Float>) {
        var column = 0
        for part in parts {
            MatrixProduct.transposedTimes(
                team, part.rows, inputs, rows, dy + column, outputs, x, inputs, part.weight, inputs, adding: true)
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

    init(_ parameters: ModelParameters, layer: Int) {
        let configuration = parameters.configuration
        let prefix = "model.layers.\(layer)."
        let hidden = configuration.hiddenSize
        let middle = configuration.intermediateSize
        let queries = configuration.queryWidth
        let keys = configuration.keyValueWidth
        attentionNorm = parameters.pointer(prefix + "input_layernorm.weight")!
        mlpNorm = parameters.pointer(prefix + "post_attention_layernorm.weight")!
        queryNorm = parameters.pointer(prefix + "self_attn.q_norm.weight")
        keyNorm = parameters.pointer(prefix + "self_attn.k_norm.weight")
        queryKeyValue = Projection(
            parameters, prefix: prefix + "self_attn.", ["q_proj", "k_proj", "v_proj"], inputs: hidden,
            outputs: [queries, keys, keys])
        attentionOutput = Projection(
            parameters, prefix: prefix + "self_attn.", ["o_proj"], inputs: queries, outputs: [hidden])
        gateUp = Projection(
            parameters, prefix: prefix + "mlp.", ["gate_proj", "up_proj"], inputs: hidden, outputs: [middle, middle])
        down = Projection(parameters, prefix: prefix + "mlp.", ["down_proj"], inputs: middle, outputs: [hidden])
    }
}

/// All parameters of a decoder (or their gradients) by role.
struct DecoderWeights {
    let embedding: Floats
    let layers: [LayerWeights]
    let finalNorm: Floats
    /// `[vocabulary, hidden]`; the embedding itself where tied.
    let head: Floats

    init(_ parameters: ModelParameters) {
        embedding = parameters.pointer("model.embed_tokens.weight")!
        layers = (0..<parameters.configuration.layerCount).map { LayerWeights(parameters, layer: $0) }
        finalNorm = parameters.pointer("model.norm.weight")!
        head = parameters.pointer("lm_head.weight") ?? embedding
    }
}
