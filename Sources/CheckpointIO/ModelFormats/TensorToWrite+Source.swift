extension TensorToWrite {
    /// A weight whose bytes are read from a source.
    package init(reading tensor: TensorDescription, from source: any TensorSource) {
        self.init(
            description: tensor,
            content: .bytes { range, buffer in try source.read(tensor.name, range: range, into: buffer) })
    }
}
