/// Adds biases of zeros, which the family's class has and llama.cpp takes as absent.
struct ZeroBiases: TensorSource {
    let tensors: [TensorDescription]
    private let base: any TensorSource
    private let added: Set<String>

    /// A source with the biases that the configuration asks for, of weights that the file has.
    static func completing(
        _ base: any TensorSource, _ configuration: ModelConfiguration, _ notes: inout [String]
    ) -> any TensorSource {
        let rows = Dictionary(base.tensors.map { ($0.name, $0.shape.first) }, uniquingKeysWith: { $1 })
        let missing = configuration.parameters.filter { parameter in
            parameter.name.hasSuffix(".bias") && rows[parameter.name] == nil
                && rows[parameter.name.dropLast(4) + "weight"] == parameter.shape.first
        }
        guard !missing.isEmpty else { return base }
        notes.append("biases that the file does not have are zeros: \(listed(missing.map(\.name)))")
        return ZeroBiases(base: base, missing)
    }

    private init(base: any TensorSource, _ missing: [ParameterDescription]) {
        self.base = base
        added = Set(missing.map(\.name))
        tensors =
            base.tensors
            + missing.map { TensorDescription(name: $0.name, elementType: .float32, shape: $0.shape) }
    }

    func quantization(of name: String) -> TensorQuantization? { base.quantization(of: name) }

    func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard added.contains(name) else { return try base.read(name, range: range, into: destination) }
        destination.initializeMemory(as: UInt8.self, repeating: 0)
    }
}
