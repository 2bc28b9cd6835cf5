import ArgumentParser
import CheckpointIO
import Foundation

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a checkpoint for transformers, vLLM or llama.cpp.",
        discussion: """
            Examples:
              ckpt export rl/step-000005.h5 -o hybrid/ --dtype bfloat16
              ckpt export rl/step-000005.h5 -o hybrid.gguf --format gguf --dtype q8_0
              ckpt export rl/step-000005.h5 -o hybrid.safetensors
              ckpt export rl/step-000005.h5 --adapter -o lora/

            hf writes a folder for transformers 4 and 5: safetensors (shards of at most 5 GB), configuration, \
            tokenizer, chat template and a model card. gguf writes one file for llama.cpp, safetensors one file with \
            the tensors alone. A model that lacks tensors of its architecture is refused.

            --adapter writes the LoRA adapter of a run alone, as PEFT does: adapter_config.json and \
            adapter_model.safetensors. PEFT loads it onto the base model, which ckpt export writes, too.
            """)

    enum ExportFormat: String, ExpressibleByArgument, CaseIterable {
        case hf, gguf, safetensors
    }

    @Argument(
        help: ArgumentHelp("The checkpoint to export.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var input: String

    @Option(help: "hf, gguf or safetensors. Default: by the output's name (.gguf, .safetensors), else hf.")
    var format: ExportFormat?

    @Option(
        help: ArgumentHelp(
            "float32, float16, bfloat16 or, for GGUF only, q8_0. Default: as stored.", valueName: "type"))
    var dtype: String?

    @Option(
        help: ArgumentHelp(
            "Maximum size of a safetensors file, for example 500MB; a larger tensor gets a file of its own.",
            valueName: "size"))
    var maxShardSize: ShardSize?

    @Flag(help: "Export a model that lacks tensors of its architecture.")
    var partial = false

    @Flag(help: "Write the checkpoint's LoRA adapter for PEFT, not the model.")
    var adapter = false

    @Option(
        help: ArgumentHelp(
            "The base model that adapter_config.json names. Default: the path of the run's base.", valueName: "name"))
    var base: String?

    @OptionGroup var output: OutputOptions

    private var chosenFormat: ExportFormat {
        if let format { return format }
        return output.output.hasSuffix(".gguf") ? .gguf : output.output.hasSuffix(".safetensors") ? .safetensors : .hf
    }

    func validate() throws {
        guard adapter || base == nil else { throw ValidationError("--base belongs to --adapter") }
        guard !adapter || chosenFormat == .hf && dtype == nil && maxShardSize == nil && !partial else {
            throw ValidationError("--adapter writes a folder with the tensors as stored; give no other option with it")
        }
        guard chosenFormat == .hf || maxShardSize == nil else {
            throw ValidationError("--max-shard-size is for Hugging Face folders; \(chosenFormat.rawValue) is one file")
        }
        guard let dtype else { return }
        switch chosenFormat {
        case .hf, .safetensors:
            guard let type = ElementType(rawValue: dtype), ElementType.modelTypes.contains(type) else {
                throw ValidationError(
                    "--dtype must be float32, float16 or bfloat16 for safetensors"
                        + Suggestions.question(ofValue: dtype, among: ElementType.allValueStrings))
            }
        case .gguf:
            guard GGUFExport.Precision(rawValue: dtype) != nil else {
                throw ValidationError(
                    "--dtype must be float32, float16, bfloat16 or q8_0 for GGUF"
                        + Suggestions.question(ofValue: dtype, among: ElementType.allValueStrings + ["q8_0"]))
            }
        }
    }

    func run() throws {
        try output.check()
        let file = try CheckpointFile(path: input)
        if adapter {
            let count = try PEFTExport.write(file, baseModel: base, to: output.output, overwrite: output.force)
            return print("\(output.output): an adapter of \(Format.counted(count, "tensor")) from \(input)")
        }
        let stored = CheckpointTensors(file)
        if !partial { try Self.refuseHalf(file) }
        switch chosenFormat {
        case .hf, .safetensors:
            let type = dtype.flatMap(ElementType.init(rawValue:))
            let source = type.map { ConvertedTensors(stored, to: $0) as any TensorSource } ?? stored
            let bar = ProgressBar(
                "exporting", total: source.tensors.reduce(0) { $0 + $1.byteCount }, unit: .bytes)
            if chosenFormat == .hf {
                try HuggingFaceExport.write(
                    file.metadata, source, to: output.output, overwrite: output.force,
                    maximumShardBytes: (maxShardSize ?? .usual).byteCount, progress: { bar.update($0) })
            } else {
                try HuggingFaceExport.writeFile(
                    source, to: output.output, overwrite: output.force, progress: { bar.update($0) })
            }
            bar.finish()
        case .gguf:
            let bar = ProgressBar(
                "exporting", total: stored.tensors.reduce(0) { $0 + $1.byteCount }, unit: .bytes)
            let notes = try GGUFExport.write(
                file.metadata, stored, to: output.output, overwrite: output.force,
                precision: dtype.flatMap(GGUFExport.Precision.init(rawValue:)), progress: { bar.update($0) })
            bar.finish()
            for note in notes { Terminal.writeError("ckpt: note: \(note)") }
        }
        print("\(output.output): \(Format.counted(stored.tensors.count, "tensor")) from \(input)")
    }

    /// Refuses a model that lacks tensors of its architecture; other programs would fill them at random.
    ///
    /// - Throws: `HalfModel`
    private static func refuseHalf(_ file: CheckpointFile) throws {
        guard let configuration = try? ModelConfiguration(json: file.metadata.config) else { return }
        let missing = ArchitectureFit.missing(
            configuration, file.tensors().map(\.description), tied: file.metadata.tiedTensors)
        if !missing.isEmpty { throw HalfModel(path: file.path, missing: missing) }
    }
}

/// A model without some tensors of its architecture.
private struct HalfModel: Error, CustomStringConvertible {
    let path: String
    let missing: [String]

    var description: String {
        "\(path): has no tensor \(missing[0])" + (missing.count > 1 ? " and lacks \(missing.count - 1) others" : "")
            + "; give --partial to export what there is"
    }
}

/// A size in the notation of transformers: a number and KB, MB or GB, which are powers of 1000.
struct ShardSize: ExpressibleByArgument {
    var byteCount: Int

    static let usual = ShardSize(byteCount: 5_000_000_000)

    init(byteCount: Int) { self.byteCount = byteCount }

    init?(argument: String) {
        let units = ["KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000]
        guard let unit = units[String(argument.suffix(2)).uppercased()], let number = Int(argument.dropLast(2)),
            (1...1_000_000).contains(number)
        else { return nil }
        byteCount = number * unit
    }
}
