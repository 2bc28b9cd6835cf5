import CheckpointIO
import Parallel

/// The storage of a model's parameters, in float32 or more compact.
package protocol ParameterStore: AnyObject {
    var configuration: ModelConfiguration { get }
    /// The elements of a norm or bias; nil if the configuration has no such parameter.
    func vector(_ name: String) -> Floats?
    func matrix(_ name: String) -> Matrix?
}

extension ParameterStore {
    fileprivate func requiredVector(_ name: String) -> Floats {
        guard let vector = vector(name) else { preconditionFailure("no parameter \(name)") }
        return vector
    }

    fileprivate func requiredMatrix(_ name: String) -> Matrix {
        guard let matrix = matrix(name) else { preconditionFailure("no parameter \(name)") }
        return matrix
    }
}

/// One or several linear layers y = x Wᵀ + b of the same input, whose outputs are adjacent columns.
///
/// Matrices that are adjacent in memory are multiplied as one.
struct Projection {
    private struct BiasSlice {
        var values: Floats
        var column: Int
        var count: Int
    }

    let inputs: Int
    private(set) var outputs = 0
    /// The layers in the order of their output columns, by the names of their weights and biases without the suffix.
    private(set) var parts: [(name: String, outputs: Int)] = []
    let precision: ProductPrecision
    private var weights: [Matrix] = []
    private var biases: [BiasSlice] = []
    private(set) var adapters: [ProjectionAdapter] = []
    /// Outputs whose weights are not those of the matrix.
    private var replaced: ReplacedRows?

    /// The layer `name` without bias.
    init(_ name: String, _ weight: Matrix, _ precision: ProductPrecision, replaced: ReplacedRows? = nil) {
        self.replaced = replaced
        inputs = weight.columns
        outputs = weight.rows
        parts = [(name, weight.rows)]
        self.precision = precision
        weights = [weight]
    }

    init(
        _ parameters: some ParameterStore, _ adapters: Adapters?, _ precision: ProductPrecision, prefix: String,
        _ names: [String], inputs: Int
    ) {
        self.inputs = inputs
        self.precision = precision
        for name in names {
            let weight = parameters.requiredMatrix(prefix + name + ".weight")
            if let both = weights.last?.joined(with: weight) {
                weights[weights.count - 1] = both
            } else {
                weights.append(weight)
            }
            if let bias = parameters.vector(prefix + name + ".bias") {
                biases.append(BiasSlice(values: bias, column: outputs, count: weight.rows))
            }
            if let adapter = adapters?.adapter(of: prefix + name + ".weight", column: outputs) {
                self.adapters.append(adapter)
            }
            parts.append((prefix + name, weight.rows))
            outputs += weight.rows
        }
    }

    /// The columns of `y` `[rows, outputs]` that a weight's outputs take.
    private func columns(of weight: Matrix, from column: Int, _ rows: Int, _ y: UnsafePointer<Float>) -> Matrix {
        Matrix(reading: y + column, rows: rows, columns: weight.rows, stride: outputs)
    }

    /// y[rows, outputs] = x[rows, inputs] Wᵀ + b (+ y if `adding`), and what adapters add.
    ///
    /// With `favorsFewRows` the bits of a row may depend on the number of rows.
    func forward(
        _ team: ThreadTeam, rows: Int, _ x: UnsafePointer<Float>, into y: Floats, adding: Bool = false,
        dropout: AdapterDropout? = nil, favorsFewRows: Bool = false
    ) {
        defer {
            for adapter in adapters {
                adapter.forward(team, rows: rows, x, into: y, stride: outputs, dropout)
            }
            replaced?.forward(team, rows: rows, x, into: y, stride: outputs)
        }
        let x = Matrix(reading: x, rows: rows, columns: inputs)
        var column = 0
        for weight in weights {
            gemmNT(
                x, weight, into: Matrix(y + column, rows: rows, columns: weight.rows, stride: outputs),
                accumulating: adding, team: team, precision: precision, favorsFewRows: favorsFewRows)
            column += weight.rows
        }
        for bias in biases {
            Bias.add(team, rows: rows, width: bias.count, bias.values, to: y + bias.column, stride: outputs)
        }
    }

    /// dx[rows, inputs] = dy[rows, outputs] W, and what adapters add.
    func backwardInput(
        _ team: ThreadTeam, rows: Int, dy: Floats, into dx: Floats, dropout: AdapterDropout? = nil
    ) {
        if let replaced {
            return replaced.backwardInput(team, rows: rows, dy: dy, stride: outputs, into: dx) {
                multiplyBack(team, rows: rows, dy: dy, into: dx)
            }
        }
        multiplyBack(team, rows: rows, dy: dy, into: dx)
        for adapter in adapters {
            adapter.backwardInput(team, rows: rows, dy: dy, stride: outputs, into: dx, dropout)
        }
    }

    private func multiplyBack(_ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, into dx: Floats) {
        let dx = Matrix(dx, rows: rows, columns: inputs)
        var column = 0
        for weight in weights {
            gemmNN(
                columns(of: weight, from: column, rows, dy), weight, into: dx, accumulating: column > 0, team: team,
                precision: precision)
            column += weight.rows
        }
    }
}

/// Views of one decoder layer's parameters, and what its attention sees.
struct LayerWeights {
    let attention: LayerAttention
    let attentionNorm: Floats
    let queryKeyValue: Projection
    let queryNorm: Floats?
    let keyNorm: Floats?
    let attentionOutput: Projection
    let mlpNorm: Floats
    let gateUp: Projection
    let down: Projection

    init(_ parameters: some ParameterStore, _ adapters: Adapters?, _ precision: ProductPrecision, layer: Int) {
        let configuration = parameters.configuration
        let prefix = "model.layers.\(layer)."
        let hidden = configuration.hiddenSize
        let isFused = configuration.fusesProjections
        attention = configuration.layerAttention[layer]
        attentionNorm = parameters.requiredVector(prefix + "input_layernorm.weight")
        mlpNorm = parameters.requiredVector(prefix + "post_attention_layernorm.weight")
        queryNorm = parameters.vector(prefix + "self_attn.q_norm.weight")
        keyNorm = parameters.vector(prefix + "self_attn.k_norm.weight")
        queryKeyValue = Projection(
            parameters, adapters, precision, prefix: prefix + "self_attn.",
            isFused ? ["qkv_proj"] : ["q_proj", "k_proj", "v_proj"], inputs: hidden)
        attentionOutput = Projection(
            parameters, adapters, precision, prefix: prefix + "self_attn.", ["o_proj"], inputs: configuration.queryWidth
        )
        gateUp = Projection(
            parameters, adapters, precision, prefix: prefix + "mlp.",
            isFused ? ["gate_up_proj"] : ["gate_proj", "up_proj"], inputs: hidden)
        down = Projection(
            parameters, adapters, precision, prefix: prefix + "mlp.", ["down_proj"],
            inputs: configuration.intermediateSize)
    }
}

/// Views of all parameters of a decoder by role.
struct DecoderWeights {
    let embedding: EmbeddingTable
    let layers: [LayerWeights]
    let finalNorm: Floats
    /// The projection of hidden states to logits, whose weights are the embedding if the two are tied.
    let head: Projection

    init(_ parameters: some ParameterStore, _ adapters: Adapters? = nil, products precision: ProductPrecision) {
        let table = parameters.requiredMatrix("model.embed_tokens.weight")
        embedding = EmbeddingTable(table, replaced: adapters?.replacedRows(of: "model.embed_tokens.weight"))
        layers = (0..<parameters.configuration.layerCount).map {
            LayerWeights(parameters, adapters, precision, layer: $0)
        }
        finalNorm = parameters.requiredVector("model.norm.weight")
        let head = parameters.matrix("lm_head.weight")
        let name = head == nil ? "model.embed_tokens" : "lm_head"
        self.head = Projection(name, head ?? table, precision, replaced: adapters?.replacedRows(of: name + ".weight"))
    }
}
