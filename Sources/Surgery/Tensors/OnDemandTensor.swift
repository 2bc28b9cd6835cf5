import CheckpointIO
import Synchronization

/// A stored tensor that is read when its first byte is asked for and let go when its last one has been delivered, so
/// that writing many of them needs the memory of the few in flight.
final class OnDemandTensor: Sendable {
    private struct State {
        var loaded: TensorBytes?
        var delivered = 0
    }

    private let file: CheckpointFile
    let tensor: StoredTensor
    private let state = Mutex(State())

    init(_ file: CheckpointFile, _ tensor: StoredTensor) {
        self.file = file
        self.tensor = tensor
    }

    /// Calls `body` with the tensor in memory. `elements` of it count as delivered afterwards.
    func withBytes(delivering elements: Int, _ body: (TensorBytes) throws -> Void) throws {
        let bytes = try state.withLock { state in
            if let loaded = state.loaded { return loaded }
            let loaded = try TensorBytes(file, tensor)
            state.loaded = loaded
            return loaded
        }
        try body(bytes)
        state.withLock { state in
            state.delivered += elements
            if state.delivered >= tensor.description.elementCount {
                state.loaded = nil
                state.delivered = 0
            }
        }
    }
}

extension TensorBytes {
    /// Converts elements `range` to float32.
    func readElements(_ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        let size = description.elementType.byteCount
        try ElementConversion.toFloat32(
            UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]),
            description.elementType, into: values)
    }
}
