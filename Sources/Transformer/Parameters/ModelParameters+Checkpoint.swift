import CheckpointIO
import Parallel

/// The reason why the tensors of a checkpoint are not the parameters of its configuration.
public enum ParameterError: Error, Equatable, CustomStringConvertible {
    case missing(path: String, name: String)
    case wrongShape(path: String, name: String, found: [Int], expected: [Int])
    case unexpected(path: String, name: String)

    public var description: String {
        switch self {
        case .missing(let path, let name):
            "\(path) has no tensor \(name), which its config requires; ckpt inspect lists the tensors, ckpt rename corrects"
                + " their names"
        case .wrongShape(let path, let name, let found, let expected):
            "\(path): tensor \(name) has shape \(found), but its config requires \(expected);"
                + " ckpt config corrects the config"
        case .unexpected(let path, let name):
            "\(path): tensor \(name) is not part of the architecture in its config and would be ignored;"
                + " ckpt extract leaves it out"
        }
    }
}

extension ModelParameters {
    /// Loads the weights of a checkpoint as float32, after checking that they match its configuration exactly.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    public convenience init(_ file: CheckpointFile) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try Self.checkNames(file, configuration)
        try self.init(configuration, reading: file, .weights)
    }

    /// Loads the weights of a checkpoint to train them; matrices in bf16 are rounded to nearest, unless stored so.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package convenience init(_ file: CheckpointFile, _ precision: WeightPrecision) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try Self.checkNames(file, configuration)
        guard precision == .bf16 else {
            try self.init(configuration, reading: file, .weights)
            return
        }
        try EngineThreads.prepare()
        try LargeAllocation.check(
            byteCount: precision.byteCount(configuration.parameters),
            for: "\(configuration.parameterCount) parameters in bfloat16")
        self.init(uninitialized: configuration, nil, precision)
        try file.readFloat32(layout.filter { !$0.isMatrix }.map { ($0.name, view($0)) })
        var stored: [(tensor: StoredTensor, destination: UnsafeMutableRawBufferPointer)] = []
        for matrix in layout where matrix.isMatrix {
            guard let halves = halves(matrix.name) else { continue }
            let target = file.metadata.tiedTensors[matrix.name]
            if let tensor = file.tensor(matrix.name) ?? target.flatMap({ file.tensor($0) }),
                tensor.description.elementType == .bfloat16
            {
                stored.append((tensor, UnsafeMutableRawBufferPointer(halves)))
                continue
            }
            let wide = UnsafeMutableBufferPointer<Float>.allocate(capacity: matrix.elementCount)
            defer { wide.deallocate() }
            try file.readFloat32(matrix.name, into: wide)
            nonisolated(unsafe) let (from, into) = (wide, halves)
            ThreadTeam.everyone.split(from.count, grain: 1 << 16) { range, _ in
                for i in range { into[i] = BFloat16.rounded(from[i]) }
            }
        }
        try file.read(stored)
    }

    /// Loads a group of tensors that mirror the weights, such as an optimizer's moments.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package convenience init(_ file: CheckpointFile, group: TensorGroup) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try Self.checkNames(file, configuration)
        try self.init(configuration, reading: file, group)
    }

    private convenience init(
        _ configuration: ModelConfiguration, reading file: CheckpointFile, _ group: TensorGroup
    ) throws {
        try EngineThreads.prepare()
        try LargeAllocation.check(float32Of: configuration.parameterCount)
        self.init(uninitialized: configuration)
        try file.readFloat32(layout.map { ($0.name, view($0)) }, in: group)
    }

    /// Checks the names and shapes of all tensors.
    ///
    /// Done before memory is allocated, so that a config cannot claim sizes that its tensors do not have.
    ///
    /// - Throws: `ParameterError`
    static func checkNames(_ file: CheckpointFile, _ configuration: ModelConfiguration) throws {
        var expected: Set<String> = []
        for description in configuration.parameters {
            expected.insert(description.name)
            let target = file.metadata.tiedTensors[description.name]
            guard let tensor = file.tensor(description.name) ?? target.flatMap({ file.tensor($0) }) else {
                throw ParameterError.missing(path: file.path, name: description.name)
            }
            guard tensor.description.shape == description.shape else {
                throw ParameterError.wrongShape(
                    path: file.path, name: description.name, found: tensor.description.shape,
                    expected: description.shape)
            }
        }
        for tensor in file.tensors() where !expected.contains(tensor.description.name) {
            let name = tensor.description.name
            // Some files repeat the tied head, and old ones hold rotary frequencies, which follow from the
            // configuration.
            if name == "lm_head.weight" && configuration.tiesWordEmbeddings { continue }
            if name.hasSuffix(".rotary_emb.inv_freq") { continue }
            throw ParameterError.unexpected(path: file.path, name: name)
        }
    }
}
