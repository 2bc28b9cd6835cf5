import Foundation
import OrderedJSON

/// A LoRA adapter of PEFT or of a trainer that uses it, opened to be merged into its base model.
public struct PEFTAdapter: Sendable {
    /// The adapter's folder or file, as given.
    let path: String
    let configuration: PEFTConfiguration
    let file: SafetensorsFile
    /// The names of the two matrices of each module.
    private(set) var matrices: [String: Matrices] = [:]
    /// The names of tensors with new rows, by module.
    private(set) var rows: [String: String] = [:]
    /// The names of tensors with new values, by the name of the weight.
    private(set) var replacements: [String: String] = [:]

    /// The tensors of LoRA on one module.
    struct Matrices: Sendable {
        var a: String?
        var b: String?
        /// Whether the module is an embedding, whose matrices are stored transposed.
        var isEmbedding: Bool
    }

    /// Opens the folder of an adapter, or its safetensors file beside `adapter_config.json`.
    ///
    /// - Throws: `ModelFormatError`.
    public init(path: String) throws {
        self.path = path
        let isFile = path.hasSuffix(".safetensors")
        let folder = isFile ? FilePath.folder(of: path) : path
        let weights = isFile ? path : FilePath.join(path, "adapter_model.safetensors")
        let config = FilePath.join(folder, "adapter_config.json")
        guard access(config, F_OK) == 0 || AtomicFile.isLink(config) else {
            throw ModelFormatError.missing(
                path: path, what: "adapter_config.json",
                remedy: "give the folder of a PEFT adapter, which has it beside adapter_model.safetensors")
        }
        configuration = try PEFTConfiguration(path: config)
        guard access(weights, F_OK) == 0 || AtomicFile.isLink(weights) else {
            let pickle = FilePath.join(folder, "adapter_model.bin")
            if access(pickle, F_OK) == 0 { throw ModelFormatError.pickle(path: pickle) }
            throw ModelFormatError.missing(
                path: path, what: "adapter_model.safetensors", remedy: "save the adapter with peft's save_pretrained")
        }
        file = try SafetensorsFile(path: weights)
        for tensor in file.tensors { try add(tensor.name) }
        for (module, pair) in matrices where pair.a == nil || pair.b == nil {
            throw malformed(module, "has only one of lora_A and lora_B")
        }
        for module in matrices.keys where try !configuration.targets(module) {
            throw malformed(
                module, "has LoRA tensors, but target_modules or layers_to_transform leave the module out")
        }
        guard rows.count == configuration.tokenModuleCount else {
            throw malformed(
                "trainable_token_indices",
                "lists tokens of \(configuration.tokenModuleCount) modules, but there are tensors for \(rows.count)")
        }
    }

    private mutating func add(_ name: String) throws {
        let twice = { [self] in malformed(name, "names the same tensor as \(quoted($0))") }
        func unique(_ old: String?) throws -> String {
            if let old { throw twice(old) }
            return name
        }
        switch PEFTTensor(name) {
        case .matrix(let module, let isA):
            try setMatrix(module, isA: isA, isEmbedding: false, unique)
        case .embeddingMatrix(let module, let isA):
            try setMatrix(module, isA: isA, isEmbedding: true, unique)
        case .rows(let module): rows[module] = try unique(rows[module])
        case .replacement(let weight): replacements[weight] = try unique(replacements[weight])
        case .original: break
        case nil:
            throw ModelFormatError.unsupported(
                path: file.path, what: "tensor \(quoted(name)), which plain LoRA does not have,",
                remedy: "merge the adapter with peft (merge_and_unload) and import the merged model")
        }
    }

    private mutating func setMatrix(
        _ module: String, isA: Bool, isEmbedding: Bool, _ unique: (String?) throws -> String
    ) throws {
        var pair = matrices[module] ?? Matrices(isEmbedding: isEmbedding)
        guard pair.isEmbedding == isEmbedding else { throw malformed(module, "has two kinds of LoRA tensors") }
        if isA { pair.a = try unique(pair.a) } else { pair.b = try unique(pair.b) }
        matrices[module] = pair
    }

    func malformed(_ place: String, _ reason: String) -> ModelFormatError {
        .malformed(path: file.path, place: place.onOneLine(limit: 200), reason: reason)
    }

    /// What the lineage keeps of the adapter.
    ///
    /// - Throws: `CheckpointError.system` if its file cannot be read.
    public func record() throws -> JSON {
        [
            "adapter": .string(FilePath.name(of: path)), "sha256": .string(try FileDigest.sha256(path: file.path)),
            "base_model_name_or_path": configuration.baseModel.map(JSON.string) ?? .null,
            "r": .integer(configuration.rank), "lora_alpha": .double(configuration.alpha),
            "use_rslora": .bool(configuration.usesRankStabilizedScaling), "modules": .integer(matrices.count),
        ]
    }
}
