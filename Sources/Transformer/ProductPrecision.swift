/// What matrix products of a model's layers multiply; sums are in float32 in either case.
public enum ProductPrecision: String, Sendable, CaseIterable {
    case fp32
    /// Both factors rounded to bfloat16 (nearest even) as they are packed, which AVX512-BF16 multiplies at twice the rate.
    /// Products of small matrices, attention and everything between stay in float32 (docs/engine.md has the errors).
    case bf16

    /// What `bf16` needs, in words.
    public static let requirement = "bf16 needs a processor with AVX512-BF16"

    /// Whether this processor has the instructions.
    public var isAvailable: Bool { self == .fp32 || PackedProduct.kernels(.bf16) != nil }
}
