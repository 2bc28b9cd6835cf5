import CheckpointIO
import Foundation

/// A reader of untrusted bytes. Each takes whatever it is given and either refuses it with a line or makes sense of it;
/// a crash, a hang, an allocation that the input does not justify or a `FuzzFinding` is a bug.
///
/// `scripts/check/fuzz` runs these under libFuzzer, FuzzTargetsTests replays the corpus.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// The HDF5 container and what a checkpoint keeps in it.
    case checkpoint
    /// A safetensors file.
    case safetensors
    /// The index of a sharded safetensors model.
    case index
    case gguf
    /// `tokenizer.json`
    case tokenizer
    /// `config.json`
    case config
    /// `generation_config.json` and `tokenizer_config.json`
    case texts
    /// A chat template.
    case template

    /// Reads `bytes` as this target's kind of file and does with it what commands do.
    ///
    /// - Parameter folder: where this target may write; nobody else does at the time.
    /// - Returns: whether the bytes were accepted.
    /// - Throws: `FuzzFinding` where something is wrong with the program. What is wrong with the input is no error.
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
            case .config:
                try Self.configuration(bytes)
                try Self.model(folder.holding(bytes, as: "config.json"), folder)
            case .texts:
                try Self.model(folder.holding(bytes, as: "generation_config.json"), folder)
                try Self.model(folder.holding(bytes, as: "tokenizer_config.json"), folder)
            case .template: try Self.template(bytes)
            }
            return true
        } catch let finding as FuzzFinding {
            throw finding
        } catch {
            let line = "\(error)"
            guard !line.contains("\n"), line.utf8.count < 4000 else {
                throw FuzzFinding("an error that is no line: \(line.prefix(200))")
            }
            return false
        }
    }
}

/// Something wrong with the program, not with its input.
public struct FuzzFinding: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A folder with the other files of a small model, in which one file is the input.
public final class FuzzFolder: Sendable {
    let path: String
    /// Whether what was read is written out in every format too, which takes much longer than reading it.
    let exports: Bool
    private let companions: [String: Data]

    /// - Parameter companions: files of the model by name, put in place before every run.
    public init(path: String, companions: [String: Data], exports: Bool) {
        self.path = path
        self.companions = companions
        self.exports = exports
    }

    /// The path of a file with these bytes.
    func file(_ bytes: [UInt8], _ name: String) throws -> String {
        let path = self.path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// A model's folder in which the file of that name has these bytes; the input's folder is made anew.
    func holding(_ bytes: [UInt8], as name: String) throws -> String {
        let folder = path + "/model"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (companion, content) in companions where companion != name {
            // An index takes the place of the single file.
            let other = name == "model.safetensors.index.json" ? "model." : "shard-"
            guard !companion.hasPrefix(other) else { continue }
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
