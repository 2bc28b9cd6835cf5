/// The tensors of a model, read in ranges; several threads may read at once.
public protocol TensorSource: Sendable {
    /// The tensors in the order of the file; names are unique.
    var tensors: [TensorDescription] { get }

    /// Reads a range of a tensor's bytes, which are little-endian elements of the described type in row-major order.
    ///
    /// - Parameters:
    ///   - name: One of `tensors`.
    ///   - range: A range of the tensor's `byteCount` bytes.
    ///   - destination: A buffer of exactly `range.count` bytes.
    /// - Throws: An error if the file cannot be read, or there is no such tensor or range.
    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws
}

extension TensorToWrite {
    /// A weight whose bytes are read from a source.
    package init(reading tensor: TensorDescription, from source: any TensorSource) {
        self.init(
            description: tensor,
            content: .bytes { range, buffer in try source.read(tensor.name, range: range, into: buffer) })
    }
}
