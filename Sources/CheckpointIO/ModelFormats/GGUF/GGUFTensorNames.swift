/// The names llama.cpp and Hugging Face give to the same tensors of a decoder.
enum GGUFTensorNames {
    /// Parts outside the layers, GGUF first.
    private static let outer = [
        ("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head"),
    ]

    /// Parts of a layer.
    private static let inner = [
        ("attn_norm", "input_layernorm"), ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"), ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"), ("ffn_norm", "post_attention_layernorm"), ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"),
    ]

    /// The Hugging Face name of a tensor of a GGUF file, nil where the supported families have no such tensor.
    static func huggingFaceName(_ name: String) -> String? {
        guard let (stem, kind) = stemAndKind(name) else { return nil }
        if let match = outer.first(where: { $0.0 == stem }) { return "\(match.1).\(kind)" }
        let parts = stem.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "blk", let layer = layer(parts[1]),
            let match = inner.first(where: { $0.0 == parts[2] })
        else { return nil }
        return "model.layers.\(layer).\(match.1).\(kind)"
    }

    /// The GGUF name of a Hugging Face tensor, nil where llama.cpp has none.
    static func ggufName(_ name: String) -> String? {
        guard let (stem, kind) = stemAndKind(name) else { return nil }
        if let match = outer.first(where: { $0.1 == stem }) { return "\(match.0).\(kind)" }
        let parts = stem.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "model", parts[1] == "layers", let layer = layer(parts[2]),
            let match = inner.first(where: { $0.1 == parts[3] })
        else { return nil }
        return "blk.\(layer).\(match.0).\(kind)"
    }

    private static func stemAndKind(_ name: String) -> (stem: String, kind: String)? {
        for kind in ["weight", "bias"] where name.hasSuffix("." + kind) {
            return (String(name.dropLast(kind.count + 1)), kind)
        }
        return nil
    }

    /// A layer's number in its one spelling: no sign, no leading zero.
    private static func layer(_ text: Substring) -> Int? {
        guard let number = Int(text), number >= 0, String(number) == text else { return nil }
        return number
    }
}

/// The order of the rows of a query or key projection.
///
/// llama.cpp rotates neighbouring elements of a head (`llama` only), Hugging Face an element of the first half with one
/// of the second; the rows of a head are interleaved on the way from one to the other.
package struct HeadRowOrder: Sendable, Equatable {
    /// Rows of one head, even.
    package let headDimension: Int

    package init(headDimension: Int) { self.headDimension = headDimension }

    /// The row in a GGUF file of a row in Hugging Face's order.
    package func ggufRow(_ row: Int) -> Int {
        let (head, inner) = row.quotientAndRemainder(dividingBy: headDimension)
        let half = headDimension / 2
        return head * headDimension + (inner < half ? 2 * inner : 2 * (inner - half) + 1)
    }

    /// The row in Hugging Face's order of a row in a GGUF file.
    package func huggingFaceRow(_ row: Int) -> Int {
        let (head, inner) = row.quotientAndRemainder(dividingBy: headDimension)
        return head * headDimension + inner / 2 + (inner % 2 == 0 ? 0 : headDimension / 2)
    }
}
