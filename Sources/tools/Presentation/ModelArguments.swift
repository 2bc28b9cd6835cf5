import ArgumentParser
import CheckpointIO
import DataFiles

/// How commands open models of any format.
struct ModelArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The base model of a PEFT adapter, in any format. Default: the one that its adapter_config.json names.",
            valueName: "path"), completion: .file())
    var base: String?

    /// The formats, for the help of an argument.
    static let formats = "checkpoint, Hugging Face folder, .safetensors, .gguf or PEFT adapter"

    /// Checks that --base has an adapter among the models that it applies to.
    ///
    /// - Throws: `ModelArgumentError`
    func check(_ paths: [String]) throws {
        if base != nil, !paths.contains(where: ModelReader.isAdapter) { throw ModelArgumentError.noAdapter }
    }

    /// Opens a model.
    ///
    /// - Parameters:
    ///   - path: the model.
    ///   - hashing: Whether a model of another format gets digests, which takes reading it all.
    /// - Returns: the model.
    /// - Throws: `CheckpointError`, `ModelFormatError`
    func open(_ path: String, hashing: Bool = false) throws -> CheckpointFile {
        try ModelReader.open(TrainerRun.model(inCheckpoint: path) ?? path, base: base, hashing: hashing)
    }

    /// Opens a checkpoint of another trainer's run; throws like the above.
    func open(_ checkpoint: TrainerRun.Checkpoint) throws -> CheckpointFile {
        try ModelReader.open(checkpoint.path, base: base ?? checkpoint.base)
    }
}

enum ModelArgumentError: Error, CustomStringConvertible {
    case noAdapter

    var description: String { "--base: none of the models is a PEFT adapter folder; leave out --base" }
}
