/// Some tensors of another source, possibly under other names.
struct SelectedTensors: TensorSource {
    let tensors: [TensorDescription]
    private let base: any TensorSource
    /// The names in `base` by the new ones, where they differ.
    private let originals: [String: String]

    /// Selects the tensors for which `name` gives a name; the names are unique.
    init(_ base: any TensorSource, name: (TensorDescription) -> String?) {
        self.base = base
        var originals: [String: String] = [:]
        tensors = base.tensors.compactMap { tensor in
            guard let new = name(tensor) else { return nil }
            var renamed = tensor
            renamed.name = new
            if new != tensor.name { originals[new] = tensor.name }
            return renamed
        }
        self.originals = originals
    }

    func quantization(of name: String) -> TensorQuantization? { base.quantization(of: originals[name] ?? name) }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        try base.read(originals[name] ?? name, range: range, into: destination)
    }
}

extension TensorSource {
    /// Whether two tensors of one shape and type have the same bytes, compared piece by piece.
    func holdsEqual(_ first: TensorDescription, _ second: String, of other: any TensorSource) throws -> Bool {
        for start in stride(from: 0, to: first.byteCount, by: TensorPiece.byteCount) {
            let range = start..<min(start + TensorPiece.byteCount, first.byteCount)
            guard try bytes(first.name, range) == other.bytes(second, range) else { return false }
        }
        return true
    }

    private func bytes(_ name: String, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try read(name, range: range, into: $0) }
        return bytes
    }
}
