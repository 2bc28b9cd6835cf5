/// The number format of the layers' inputs that are kept where the backward pass recomputes activations.
public enum ActivationPrecision: String, Sendable, CaseIterable {
    case fp32
    /// Rounded to the nearest bfloat16, for half the memory.
    ///
    /// The forward pass and the loss are not affected; gradients are those of layers whose inputs are rounded.
    case bf16

    var byteCount: Int { self == .bf16 ? 2 : 4 }
}
