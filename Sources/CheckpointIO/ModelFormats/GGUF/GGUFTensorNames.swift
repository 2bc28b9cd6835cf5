/// Maps tensor names between llama.cpp and Hugging Face.
enum GGUFTensorNames {
    /// Tensors outside the layers; llama.cpp's name first.
    private static let outer = [
        ("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head"),
    ]

    /// Tensors of a layer; llama.cpp's name first.
    private static let inner = [
        ("attn_norm", "input_layernorm"), ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"), ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"), ("ffn_norm", "post_attention_layernorm"), ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"),
    ]

    /// Tensors of a layer with fused projections; llama.cpp's name first.
    private static let fused = [("attn_qkv", "self_attn.qkv_proj"), ("ffn_up", "mlp.gate_up_proj")]

    /// The Hugging Face name of a tensor in a GGUF file; nil if the family has no such tensor.
    static func huggingFaceName(_ name: String, _ family: ModelConfiguration.Family) -> String? {
        guard let (stem, kind) = stemAndKind(name) else { return nil }
        if let match = outer.first(where: { $0.0 == stem }) { return "\(match.1).\(kind)" }
        let parts = stem.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "blk", let layer = layer(parts[1]),
            let match = ((family == .phi3 ? fused : []) + inner).first(where: { $0.0 == parts[2] })
        else { return nil }
        return "model.layers.\(layer).\(match.1).\(kind)"
    }

    /// The GGUF name of a Hugging Face tensor; nil if llama.cpp has none.
    static func ggufName(_ name: String) -> String? {
        guard let (stem, kind) = stemAndKind(name) else { return nil }
        if let match = outer.first(where: { $0.1 == stem }) { return "\(match.0).\(kind)" }
        let parts = stem.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "model", parts[1] == "layers", let layer = layer(parts[2]),
            let match = (inner + fused).first(where: { $0.1 == parts[3] })
        else { return nil }
        return "blk.\(layer).\(match.0).\(kind)"
    }

    private static func stemAndKind(_ name: String) -> (stem: String, kind: String)? {
        for kind in ["weight", "bias"] where name.hasSuffix("." + kind) {
            return (String(name.dropLast(kind.count + 1)), kind)
        }
        return nil
    }

    /// Parses a layer's number without sign or leading zeros.
    private static func layer(_ text: Substring) -> Int? {
        guard let number = Int(text), number >= 0, String(number) == text else { return nil }
        return number
    }
}

/// The order of the rows of a query or key projection.
///
/// For `llama`, llama.cpp rotates neighbouring elements of a head, while Hugging Face rotates an element of the first
/// half with one of the second half. The conversion interleaves the rows of each head.
package struct HeadRowOrder: Sendable, Equatable {
    /// The number of rows per head, an even number.
    package let headDimension: Int

    package init(headDimension: Int) { self.headDimension = headDimension }

    /// Converts a row number from Hugging Face's order to that of a GGUF file.
    package func ggufRow(_ row: Int) -> Int {
        let (head, inner) = row.quotientAndRemainder(dividingBy: headDimension)
        let half = headDimension / 2
        return head * headDimension + (inner < half ? 2 * inner : 2 * (inner - half) + 1)
    }
}
