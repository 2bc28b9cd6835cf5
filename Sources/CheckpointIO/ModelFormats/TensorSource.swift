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

/// A model found in another program's format, opened but not yet read.
public struct ImportedModel: Sendable {
    /// Configuration, tokenizer, template and ties as a checkpoint keeps them.
    public var metadata: CheckpointMetadata
    /// The tensors under their Hugging Face names, tied ones once.
    public var source: any TensorSource
    /// What a person should know about this import, a line each.
    public var notes: [String]

    public init(metadata: CheckpointMetadata, source: any TensorSource, notes: [String]) {
        self.metadata = metadata
        self.source = source
        self.notes = notes
    }
}
