import Parallel

/// Whether the backward pass computes the activations of a layer again instead of keeping them.
///
/// The results are the same to the bit.
package enum Recomputation: String, Sendable, CaseIterable {
    /// Where the activations would not fit into the memory that is free.
    case auto
    case always
    case never

    /// Decides by the memory that a run takes without recomputation.
    func applies(to memory: @autoclosure () -> [MemoryUse]) -> Bool {
        switch self {
        case .always: true
        case .never: false
        case .auto: SystemMemory.available().map { memory().bytesToAllocate > $0 } ?? false
        }
    }
}
