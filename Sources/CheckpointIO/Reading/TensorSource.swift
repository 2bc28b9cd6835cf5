/// The tensors of a model, read in ranges; several threads may read at once.
public protocol TensorSource: Sendable {
    /// The tensors in the order of the file; names are unique.
    var tensors: [TensorDescription] { get }

    /// How a tensor is quantised in the file; nil if it is stored as elements of the described type.
    func quantization(of name: String) -> TensorQuantization?

    /// Reads a range of a tensor's bytes, which are little-endian elements of the described type in row-major order.
    ///
    /// - Parameters:
    ///   - name: One of `tensors`.
    ///   - range: A range of the tensor's `byteCount` bytes.
    ///   - destination: A buffer of exactly `range.count` bytes.
    /// - Throws: An error if the file cannot be read, or there is no such tensor or range.
    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws
}

extension TensorSource {
    public func quantization(of name: String) -> TensorQuantization? { nil }
}

/// The quantised form of a tensor, whose elements are read as the float32 values they stand for.
public struct TensorQuantization: Sendable, Equatable {
    /// The name of the type: ggml's, for example `Q4_K`, or that of safetensors, `F8_E4M3`.
    public var name: String
    /// Elements that share their scales, along the last dimension.
    public var blockElementCount: Int
    /// The size of the blocks in the file.
    public var storedByteCount: Int

    public init(name: String, blockElementCount: Int, storedByteCount: Int) {
        self.name = name
        self.blockElementCount = blockElementCount
        self.storedByteCount = storedByteCount
    }
}
