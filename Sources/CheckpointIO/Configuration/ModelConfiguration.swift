/// The Hugging Face name and the shape of a parameter: `[rows, columns]`, or `[size]` for norms and biases.
public struct ParameterDescription: Sendable, Equatable {
    public var name: String
    public var shape: [Int]

    public init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    public var elementCount: Int { shape.reduce(1, *) }
    /// Whether it is a matrix; AdamW decays matrices but not norms and biases.
    public var isMatrix: Bool { shape.count == 2 }
}

/// The architecture of a decoder: its sizes, and the features in which model families differ.
public struct ModelConfiguration: Sendable, Equatable {
    public var family: Family
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var intermediateSize: Int
    public var layerCount: Int
    public var attentionHeadCount: Int
    public var keyValueHeadCount: Int
    public var headDimension: Int
    /// The first dimensions of each head that are rotated by position, an even number.
    public var rotaryDimension: Int
    /// What the attention of each layer sees.
    public var layerAttention: [LayerAttention]
    public var rmsNormEpsilon: Double
    public var ropeTheta: Double
    public var ropeScaling: RotaryScaling
    public var tiesWordEmbeddings: Bool
    /// Biases on the query, key and value projections.
    public var attentionBias: Bool
    /// A bias on the attention's output projection (Llama and Qwen3 with `attention_bias`; never Qwen2).
    public var attentionOutputBias: Bool
    public var mlpBias: Bool
    /// Whether queries, keys and values are one stored matrix, and so are gate and up (Phi-3).
    public var fusesProjections: Bool
    /// RMS norms of every query and key head (Qwen3).
    public var qkNorm: Bool
    public var maxPositionEmbeddings: Int
    public var eosTokenIDs: [Int]
    public var bosTokenID: Int?
    /// The standard deviation of randomly initialised embeddings.
    public var initializerRange: Double
    /// Fields that the family's class in transformers does not read, in the order of the file; kept for export.
    public var unreadFields: [String]

    /// The family's class in transformers.
    package var className: String { family.traits.className }

    /// Columns of the queries of all heads.
    package var queryWidth: Int { attentionHeadCount * headDimension }
    /// Columns of the keys of all heads, and of the values.
    package var keyValueWidth: Int { keyValueHeadCount * headDimension }
    /// Columns of a row that holds queries, keys and values.
    package var projectedWidth: Int { queryWidth + 2 * keyValueWidth }

    /// Every stored parameter in the order of a Hugging Face state dict, without a tied `lm_head.weight`.
    public var parameters: [ParameterDescription] {
        var all: [ParameterDescription] = []
        func add(_ name: String, _ shape: Int...) { all.append(ParameterDescription(name: name, shape: shape)) }
        add("model.embed_tokens.weight", vocabularySize, hiddenSize)
        for layer in 0..<layerCount {
            let prefix = "model.layers.\(layer)."
            func linear(_ name: String, _ rows: Int, _ columns: Int, bias: Bool) {
                add(prefix + name + ".weight", rows, columns)
                if bias { add(prefix + name + ".bias", rows) }
            }
            if fusesProjections {
                linear("self_attn.qkv_proj", projectedWidth, hiddenSize, bias: false)
            } else {
                linear("self_attn.q_proj", queryWidth, hiddenSize, bias: attentionBias)
                linear("self_attn.k_proj", keyValueWidth, hiddenSize, bias: attentionBias)
                linear("self_attn.v_proj", keyValueWidth, hiddenSize, bias: attentionBias)
            }
            linear("self_attn.o_proj", hiddenSize, queryWidth, bias: attentionOutputBias)
            if qkNorm {
                add(prefix + "self_attn.q_norm.weight", headDimension)
                add(prefix + "self_attn.k_norm.weight", headDimension)
            }
            if fusesProjections {
                linear("mlp.gate_up_proj", 2 * intermediateSize, hiddenSize, bias: false)
            } else {
                linear("mlp.gate_proj", intermediateSize, hiddenSize, bias: mlpBias)
                linear("mlp.up_proj", intermediateSize, hiddenSize, bias: mlpBias)
            }
            linear("mlp.down_proj", hiddenSize, intermediateSize, bias: mlpBias)
            add(prefix + "input_layernorm.weight", hiddenSize)
            add(prefix + "post_attention_layernorm.weight", hiddenSize)
        }
        add("model.norm.weight", hiddenSize)
        if !tiesWordEmbeddings { add("lm_head.weight", vocabularySize, hiddenSize) }
        return all
    }

    /// Checks that all token ids are in the vocabulary; a model does not check its input.
    ///
    /// - Throws: `ConfigurationError.tokenOutsideVocabulary`
    public func check(_ tokens: some Sequence<Int>) throws {
        for token in tokens where token < 0 || token >= vocabularySize {
            throw ConfigurationError.tokenOutsideVocabulary(token, size: vocabularySize)
        }
    }

    /// The number of elements of all stored parameters.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.elementCount } }
}
