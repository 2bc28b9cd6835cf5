import CheckpointIO

/// Why a checkpoint's tensors are not the parameters its configuration asks for.
public enum ParameterError: Error, Equatable, CustomStringConvertible {
    case missing(path: String, name: String)
    case wrongShape(path: String, name: String, found: [Int], expected: [Int])
    case unexpected(path: String, name: String)

    public var description: String {
        switch self {
        case .missing(let path, let name):
            "\(path) has no tensor \(name), which its config asks for; import the model again"
        case .wrongShape(let path, let name, let found, let expected):
            "\(path): tensor \(name) has shape \(found) where its config asks for \(expected); import the model again"
        case .unexpected(let path, let name):
            "\(path): tensor \(name) has no place in the architecture its config describes; it would be ignored"
        }
    }
}

extension ModelParameters {
    /// Loads a checkpoint's weights as float32, after checking that they are exactly those its configuration asks for.
    /// - Throws: `ConfigurationError`, `ParameterError`, and what reading throws.
    public convenience init(_ file: CheckpointFile) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try Self.checkNames(file, configuration)
        try self.init(configuration, reading: file, .weights)
    }

    /// Loads a group of tensors that mirror the weights, such as an optimizer's moments.
    /// - Throws: `ConfigurationError`, and what reading throws.
    public convenience init(_ file: CheckpointFile, group: TensorGroup) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try Self.checkNames(file, configuration)
        try self.init(configuration, reading: file, group)
    }

    private convenience init(
        _ configuration: ModelConfiguration, reading file: CheckpointFile, _ group: TensorGroup
    ) throws {
        self.init(uninitialized: configuration)
        try file.readFloat32(layout.map { ($0.name, self[$0.name]!) }, in: group)
    }

    /// Nothing is allocated before the sizes a config claims are those of tensors that are there.
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
            // Some files repeat the tied head, and old ones hold the frequencies that the configuration implies.
            if name == "lm_head.weight" && configuration.tiesWordEmbeddings { continue }
            if name.hasSuffix(".rotary_emb.inv_freq") { continue }
            throw ParameterError.unexpected(path: file.path, name: name)
        }
    }
}
