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

            hf writes a folder for transformers 4 and 5: safetensors shards of up to 5 GB, configuration, \
            tokenizer and chat template. gguf writes one file for llama.cpp.
            """)

    enum ExportFormat: String, ExpressibleByArgument, CaseIterable {
        case hf, gguf
    }

    @Argument(
        help: ArgumentHelp("The checkpoint to export.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var input: String

    @Option(help: "hf or gguf. Default: gguf if the output's name ends in .gguf, else hf.")
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

    @OptionGroup var output: OutputOptions

    private var chosenFormat: ExportFormat { format ?? (output.output.hasSuffix(".gguf") ? .gguf : .hf) }

    func validate() throws {
        guard chosenFormat == .hf || maxShardSize == nil else {
            throw ValidationError("--max-shard-size is for Hugging Face folders; GGUF is one file")
        }
        guard let dtype else { return }
        switch chosenFormat {
        case .hf:
            guard let type = ElementType(rawValue: dtype), ElementType.modelTypes.contains(type) else {
                throw ValidationError(
                    "--dtype must be float32, float16 or bfloat16 for a Hugging Face folder"
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
        let stored = CheckpointTensors(file)
        let total = stored.tensors.reduce(0) { $0 + $1.byteCount }
        switch chosenFormat {
        case .hf:
            let type = dtype.flatMap(ElementType.init(rawValue:))
            let source = type.map { ConvertedTensors(stored, to: $0) as any TensorSource } ?? stored
            let bar = ProgressBar(
                "exporting", total: source.tensors.reduce(0) { $0 + $1.byteCount }, unit: .bytes)
            try HuggingFaceExport.write(
                file.metadata, source, to: output.output, overwrite: output.force,
                maximumShardBytes: (maxShardSize ?? .usual).byteCount, progress: { bar.update($0) })
            bar.finish()
        case .gguf:
            let bar = ProgressBar("exporting", total: total, unit: .bytes)
            let notes = try GGUFExport.write(
                file.metadata, stored, to: output.output, overwrite: output.force,
                precision: dtype.flatMap(GGUFExport.Precision.init(rawValue:)), progress: { bar.update($0) })
            bar.finish()
            for note in notes { Terminal.writeError("ckpt: note: \(note)") }
        }
        print("\(output.output): \(Format.counted(stored.tensors.count, "tensor")) from \(input)")
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
