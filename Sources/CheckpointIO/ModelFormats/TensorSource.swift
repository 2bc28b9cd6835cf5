/// A model's tensors in whatever file they live in, read piece by piece.
///
/// Reads may come from several threads at once.
public protocol TensorSource: Sendable {
    /// What there is, in the file's order; names are distinct.
    var tensors: [TensorDescription] { get }

    /// Fills `destination` with the bytes `range` of the tensor's logical content: little-endian elements of the
    /// described type, row-major.
    ///
    /// - Throws: `ModelFormatError` where the file cannot be read or there is no such tensor or range.
    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws
}
