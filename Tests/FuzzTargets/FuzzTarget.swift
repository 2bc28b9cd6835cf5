import CheckpointIO
import Foundation

/// A reader of untrusted bytes, which accepts its input or refuses it with a one-line error.
///
/// A crash, a hang, an allocation out of proportion to the input, or a `FuzzFinding` is a bug. `scripts/check/fuzz`
/// runs the targets under libFuzzer; FuzzTargetsTests replays the corpus.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// A checkpoint in its HDF5 container.
    case checkpoint
    /// A safetensors file.
    case safetensors
    /// The index of a sharded safetensors model.
    case index
    case gguf
    /// `tokenizer.json`
    case tokenizer
    /// SentencePiece's `tokenizer.model`
    case sentencepiece
    /// `vocab.json`, `special_tokens_map.json` and `added_tokens.json`
    case vocabulary
    /// `config.json`
    case config
    /// `generation_config.json` and `tokenizer_config.json`
    case texts
    /// A chat template.
    case template
    /// What the process that reads foreign HDF5 files says of an object.
    case object
    /// A `.keras` archive.
    case archive
    /// A data file: JSON Lines, a JSON array, CSV or Parquet, also compressed.
    case data
    /// The log of another trainer: W&B's, TensorBoard's, or JSON.
    case log
    /// The digests of a model's files.
    case manifest
    /// The blocks of a zstd frame, after the size of its content and the number of its planes.
    case frame

    /// Reads `bytes` as this target's kind of file and uses it like the commands do.
    ///
    /// - Parameters:
    ///   - bytes: The input.
    ///   - folder: A folder to write to, which nothing else uses meanwhile.
    /// - Returns: Whether the input was accepted.
    /// - Throws: `FuzzFinding` for a bug in the program; invalid input does not throw.
    public func run(_ bytes: [UInt8], in folder: FuzzFolder) throws -> Bool {
        do {
            switch self {
            case .checkpoint: try Self.checkpoint(bytes, folder)
            case .safetensors: try Self.model(folder.holding(bytes, as: "model.safetensors"), folder)
            case .index: try Self.model(folder.holding(bytes, as: "model.safetensors.index.json"), folder)
            case .gguf: try Self.model(folder.file(bytes, "model.gguf"), folder)
            case .tokenizer:
                try Self.tokenizer(bytes)
                try Self.model(folder.holding(bytes, as: "tokenizer.json"), folder)
            case .sentencepiece:
                try Self.tokenizer(ModelImport.tokenizerJSON(sentencePieceModel: bytes, path: "tokenizer.model"))
                try Self.model(folder.holding(bytes, as: "tokenizer.model"), folder)
            case .vocabulary:
                for name in ["vocab.json", "special_tokens_map.json", "added_tokens.json"] {
                    try Self.model(folder.holding(bytes, as: name), folder)
                }
            case .config:
                try Self.configuration(bytes)
                try Self.model(folder.holding(bytes, as: "config.json"), folder)
            case .texts:
                try Self.model(folder.holding(bytes, as: "generation_config.json"), folder)
                try Self.model(folder.holding(bytes, as: "tokenizer_config.json"), folder)
            case .template: try Self.template(bytes)
            case .object: try Self.object(bytes)
            case .archive: try Self.archive(folder.file(bytes, "model.keras"))
            case .data: try Self.data(folder.file(bytes, "data"))
            case .log: try Self.log(bytes, folder)
            case .manifest: try Self.manifest(folder.file(bytes, "manifest"))
            case .frame: try Self.frame(bytes)
            }
            return true
        } catch let finding as FuzzFinding {
            throw finding
        } catch {
            let line = "\(error)"
            guard !line.contains("\n"), line.utf8.count < 4000 else {
                throw FuzzFinding("an error that is not a short line: \(line.prefix(200))")
            }
            return false
        }
    }
}

/// A bug in the program, as opposed to invalid input.
public struct FuzzFinding: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A folder for the files of a small model, one of which is the input.
public final class FuzzFolder: Sendable {
    let path: String
    /// Whether accepted inputs are also exported to every format, which takes much longer than reading them.
    let exports: Bool
    private let companions: [String: Data]

    /// Uses the folder at `path`; `companions` are the other files of the model by name.
    public init(path: String, companions: [String: Data], exports: Bool) {
        self.path = path
        self.companions = companions
        self.exports = exports
    }

    /// Writes a file and returns its path.
    func file(_ bytes: [UInt8], _ name: String) throws -> String {
        let path = self.path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Makes a new model folder in which the file `name` has these bytes, and returns its path.
    func holding(_ bytes: [UInt8], as name: String) throws -> String {
        let folder = path + "/model"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (companion, content) in companions where companion != name {
            // An index replaces the single file.
            let other = name == "model.safetensors.index.json" ? "model." : "shard-"
            guard !companion.hasPrefix(other) else { continue }
            // tokenizer.json replaces the other tokenizers.
            if companion == "tokenizer.json", ["tokenizer.model", "vocab.json"].contains(name) { continue }
            try content.write(to: URL(fileURLWithPath: folder + "/" + companion))
        }
        try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
        return folder
    }
}

extension FuzzFolder {
    /// The files of a folder, by name.
    public static func companions(in folder: String) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return try Dictionary(
            uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0))) })
    }
}
