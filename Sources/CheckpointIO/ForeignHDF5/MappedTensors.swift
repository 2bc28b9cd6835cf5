import Synchronization

/// Some tensors of a source under other names, some of them transposed.
package final class MappedTensors: TensorSource {
    package struct Tensor: Sendable {
        /// The name in the source.
        package var stored: String
        package var name: String
        package var isTransposed: Bool

        package init(stored: String, name: String, isTransposed: Bool) {
            self.stored = stored
            self.name = name
            self.isTransposed = isTransposed
        }
    }

    package let tensors: [TensorDescription]
    private let base: any TensorSource
    private let byName: [String: (tensor: Tensor, stored: TensorDescription)]
    /// The last tensor that was transposed.
    private let transposed = Mutex<(name: String, bytes: [UInt8])?>(nil)

    /// Maps tensors of `base`; only matrices are transposed.
    package init(_ base: any TensorSource, _ mapping: [Tensor]) {
        self.base = base
        var byName: [String: (tensor: Tensor, stored: TensorDescription)] = [:]
        let stored = Dictionary(base.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        tensors = mapping.compactMap { tensor in
            guard var description = stored[tensor.stored] else { return nil }
            byName[tensor.name] = (tensor, description)
            description.name = tensor.name
            if tensor.isTransposed { description.shape.reverse() }
            return description
        }
        self.byName = byName
    }

    package func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let (tensor, stored) = byName[name] else {
            throw CheckpointError.invalid(name: name, problem: "is not among the imported tensors")
        }
        guard tensor.isTransposed else { return try base.read(tensor.stored, range: range, into: destination) }
        guard range.lowerBound >= 0, range.upperBound <= stored.byteCount, range.count == destination.count else {
            throw CheckpointError.invalid(name: name, problem: "bytes \(range) are outside the tensor")
        }
        try transposed.withLock { transposed in
            if transposed?.name != name {
                // Free the old one first.
                transposed = nil
                transposed = (name, try Self.transpose(base, stored))
            }
            transposed?.bytes.withUnsafeBytes {
                destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
            }
        }
    }

    /// The bytes of a matrix `[rows, columns]` in the order of `[columns, rows]`.
    private static func transpose(_ base: any TensorSource, _ tensor: TensorDescription) throws -> [UInt8] {
        var stored = [UInt8](repeating: 0, count: tensor.byteCount)
        try stored.withUnsafeMutableBytes { try base.read(tensor.name, range: 0..<tensor.byteCount, into: $0) }
        let (rows, columns, width) = (tensor.shape[0], tensor.shape[1], tensor.elementType.byteCount)
        return [UInt8](unsafeUninitializedCapacity: stored.count) { result, count in
            stored.withUnsafeBytes { stored in
                for row in 0..<rows {
                    for column in 0..<columns {
                        let (from, to) = ((row * columns + column) * width, (column * rows + row) * width)
                        for i in 0..<width { result[to + i] = stored[from + i] }
                    }
                }
            }
            count = stored.count
        }
    }
}
