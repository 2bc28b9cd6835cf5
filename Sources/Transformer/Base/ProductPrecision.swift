import CKernels

/// The number format of the factors in the matrix products of a model's layers; sums are always in float32.
public enum ProductPrecision: String, Sendable, CaseIterable {
    case fp32
    /// Both factors rounded to bfloat16 (nearest even) when packed, which AVX512-BF16 multiplies at twice the rate on
    /// AMD's processors and at half the rate on Intel's.
    ///
    /// Products of small matrices, attention and all other operations stay in float32. docs/engine-figures.md has the
    /// errors.
    case bf16

    /// What `bf16` needs, in words.
    package static let requirement = "bf16 needs a processor with AVX512-BF16"

    /// The format of a name, or the faster one of this processor for `auto`; nil for other names.
    public init?(name: String) {
        if name == "auto" {
            self = ckpt_has_fast_bfloat16() != 0 ? .bf16 : .fp32
        } else {
            self.init(rawValue: name)
        }
    }

    /// Whether this processor has the instructions.
    public var isAvailable: Bool { self == .fp32 || ckpt_packed_gemm_bf16_kernels() != nil }
}
