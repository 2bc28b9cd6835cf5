import CheckpointIO
import Parallel

/// The gradient of the weights and biases of a projection, as far as they are trained.
struct ProjectionGradient {
    /// The gradient of adjacent output columns: of whole weights, or of the weights of some outputs.
    private struct Slice {
        var gradient: Matrix
        /// The first column of the outputs.
        var column: Int
        /// The outputs, counted from `column`, whose weights are trained; nil for all.
        var rows: [Int]?
    }

    private struct BiasSlice {
        var gradient: Floats
        var column: Int
        var count: Int
    }

    private struct AdapterSlice {
        var adapter: ProjectionAdapter
        var a: Matrix
        var b: Matrix
    }

    private let inputs: Int
    private let outputs: Int
    private let precision: ProductPrecision
    /// Owns the gradients, and the keys of what is rounded.
    private let owner: ModelParameters
    private var slices: [Slice] = []
    private var biases: [BiasSlice] = []
    private var adapters: [AdapterSlice] = []
    private static let scratch = SharedScratch()
    private static let product = SharedScratch()
    /// Elements of a gradient in bfloat16 that are computed in float32 at a time.
    private static let productFloats = 1 << 24

    init(_ gradients: ModelParameters, of projection: Projection) {
        inputs = projection.inputs
        outputs = projection.outputs
        precision = projection.precision
        owner = gradients
        var column = 0
        for part in projection.parts {
            defer { column += part.outputs }
            let name = part.name + ".weight"
            if let gradient = gradients.matrix(name) {
                let rows = gradients.rows[name]
                if rows == nil, let last = slices.last, last.rows == nil, last.column + last.gradient.rows == column,
                    let both = last.gradient.joined(with: gradient)
                {
                    slices[slices.count - 1].gradient = both
                } else {
                    slices.append(Slice(gradient: gradient, column: column, rows: rows))
                }
            }
            if let gradient = gradients.vector(part.name + ".bias") {
                biases.append(BiasSlice(gradient: gradient, column: column, count: part.outputs))
            }
        }
        for adapter in projection.adapters {
            let names = AdapterNames(adapter.name)
            if let a = gradients.matrix(names.a), let b = gradients.matrix(names.b) {
                adapters.append(AdapterSlice(adapter: adapter, a: a, b: b))
            }
        }
    }

    /// dW += dyᵀ x and db += Σ dy, and the gradients of adapters, for dy `[rows, outputs]` and x `[rows, inputs]`.
    func accumulate(
        _ team: ThreadTeam, rows: Int, dy: UnsafePointer<Float>, x: UnsafePointer<Float>,
        dropout: AdapterDropout? = nil
    ) {
        for own in adapters {
            own.adapter.accumulateGradients(
                team, rows: rows, dy: dy, stride: outputs, x: x, a: own.a, b: own.b, dropout)
        }
        let x = Matrix(reading: x, rows: rows, columns: inputs)
        for slice in slices {
            guard let chosen = slice.rows else {
                let dy = Matrix(
                    reading: dy + slice.column, rows: rows, columns: slice.gradient.rows, stride: outputs)
                add(dy, x, to: slice.gradient, team)
                continue
            }
            Self.scratch.withFloats(max(1, rows * chosen.count)) { gathered in
                for row in 0..<rows {
                    let line = dy + (row * outputs + slice.column)
                    for (place, output) in chosen.enumerated() { gathered[row * chosen.count + place] = line[output] }
                }
                add(Matrix(gathered, rows: rows, columns: chosen.count), x, to: slice.gradient, team)
            }
        }
        for bias in biases {
            Bias.accumulate(rows: rows, width: bias.count, dy + bias.column, stride: outputs, into: bias.gradient)
        }
    }
}

extension ProjectionGradient {
    /// gradient += dyᵀ x; a gradient in bfloat16 is rounded once, from a product in float32.
    private func add(_ dy: Matrix, _ x: Matrix, to gradient: Matrix, _ team: ThreadTeam) {
        guard case .bfloat16(let halves) = gradient.elements else {
            return gemmTN(dy, x, into: gradient, accumulating: true, team: team, precision: precision)
        }
        let key = owner.rounding.next()
        let most = max(1, Self.productFloats / inputs)
        let sums = UnsafeMutablePointer(mutating: halves)
        for first in stride(from: 0, to: gradient.rows, by: most) {
            let count = min(most, gradient.rows - first)
            Self.product.withFloats(count * inputs) { product in
                gemmTN(
                    Matrix(reading: dy.floats + first, rows: dy.rows, columns: count, stride: dy.stride), x,
                    into: Matrix(product, rows: count, columns: inputs), team: team, precision: precision)
                team.split(count, grain: max(1, 32_768 / inputs)) { rows, _ in
                    let start = rows.lowerBound * inputs
                    Quantization.add(
                        product + start, into: sums + first * inputs + start, rows.count * inputs, key,
                        index: first * inputs + start)
                }
            }
        }
    }
}

/// Views of the gradients of one decoder layer's parameters, as far as they are trained.
struct LayerGradients {
    let attentionNorm: Floats?
    let queryKeyValue: ProjectionGradient
    let queryNorm: Floats?
    let keyNorm: Floats?
    let attentionOutput: ProjectionGradient
    let mlpNorm: Floats?
    let gateUp: ProjectionGradient
    let down: ProjectionGradient

    init(_ gradients: ModelParameters, of weights: LayerWeights, layer: Int) {
        let prefix = "model.layers.\(layer)."
        attentionNorm = gradients.vector(prefix + "input_layernorm.weight")
        mlpNorm = gradients.vector(prefix + "post_attention_layernorm.weight")
        queryNorm = gradients.vector(prefix + "self_attn.q_norm.weight")
        keyNorm = gradients.vector(prefix + "self_attn.k_norm.weight")
        queryKeyValue = ProjectionGradient(gradients, of: weights.queryKeyValue)
        attentionOutput = ProjectionGradient(gradients, of: weights.attentionOutput)
        gateUp = ProjectionGradient(gradients, of: weights.gateUp)
        down = ProjectionGradient(gradients, of: weights.down)
    }
}

/// Views of the gradients of a decoder's parameters by role, as far as they are trained.
struct DecoderGradients {
    /// The gradient of the embedding's rows `[rows, hidden]`.
    let embedding: Matrix?
    /// The place in `embedding` of each token; nil if every token is in the place of its id.
    let embeddingPlaces: [Int: Int]?
    let layers: [LayerGradients]
    let finalNorm: Floats?
    let head: ProjectionGradient
    private let owner: ModelParameters

    /// The key of the random words by which an addition to the embedding's gradient is rounded.
    func nextRoundingKey() -> UInt64 { owner.rounding.next() }

    init(_ gradients: ModelParameters, of weights: DecoderWeights) {
        let name = "model.embed_tokens.weight"
        embedding = gradients.matrix(name)
        owner = gradients
        embeddingPlaces = gradients.rows[name].map { rows in
            Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, $0) })
        }
        layers = weights.layers.enumerated().map { LayerGradients(gradients, of: $1, layer: $0) }
        finalNorm = gradients.vector("model.norm.weight")
        head = ProjectionGradient(gradients, of: weights.head)
    }
}
