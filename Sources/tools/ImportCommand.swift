import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import Tokenization

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a checkpoint from a Hugging Face folder, safetensors, GGUF or HDF5.",
        discussion: """
            Examples:
              ckpt import SmolLM2-135M-Instruct/ -o base.h5
              ckpt import SmolLM2-135M-Instruct.gguf -o base.h5 --dtype bfloat16
              ckpt import model.weights.h5 --config config.json --as-stored -o base.h5
              ckpt import SmolLM2-135M-Instruct/ --adapter lora/ -o tuned.h5

            Configuration, tokenizer, chat template and generation settings are imported, too. The format is detected \
            from the content. Quantised GGUF tensors are dequantised to float32. PyTorch's pickle files can run code \
            and are never read. HDF5 files of other programs and .keras archives are read by libhdf5 in a process of \
            their own (docs/formats.md); ckpt inspect shows what is in them.

            --adapter merges a LoRA adapter of PEFT, TRL and other trainers: the weights become W + s·B·A in the \
            type of the base. Then a checkpoint may be the base, too.
            """)

    @Argument(
        help: ArgumentHelp(
            "A folder, a .safetensors file or its index, a .gguf file, or an HDF5 file.", valueName: "path"),
        completion: .file())
    var input: String

    @Option(help: "Store floating-point tensors as float32, float16 or bfloat16. Default: as in the input.")
    var dtype: ElementType?

    @Option(
        help: ArgumentHelp(
            "Which of a folder's chat templates to import. Default: the one named default.", valueName: "name"))
    var chatTemplate: String?

    @Option(
        help: ArgumentHelp(
            "The folder of a LoRA adapter of PEFT (adapter_config.json), to be merged into the model.",
            valueName: "folder"), completion: .directory)
    var adapter: String?

    @Flag(
        help: """
            Import a model that ckpt cannot run because of its config.json; it can be inspected, compared, exported \
            and, by ckpt config, corrected.
            """)
    var allowUnsupported = false

    @OptionGroup var hdf5: HDF5ImportOptions

    @OptionGroup var output: OutputOptions

    func validate() throws { try ElementType.checkModelType(dtype) }

    func run() throws {
        try output.check()
        let adapter = try adapter.map { try PEFTAdapter(path: $0) }
        if let adapter, CheckpointSignature.isFound(in: input) { return try merge(adapter) }
        var model = try hdf5.open(input) ?? ModelImport.open(path: input, templateName: chatTemplate)
        if let adapter {
            // Weights that change their type anyway are rounded once, after the merge.
            let base = dtype.map { _ in ConvertedTensors(model.source, to: .float32) as any TensorSource }
            let merged = try adapter.merged(into: model.metadata, base ?? model.source)
            (model.metadata, model.source) = (merged.metadata, merged.source)
            model.notes += merged.notes
        }
        // A config.json beside a file of another program is the user's own choice.
        if !allowUnsupported, hdf5.config == nil { try Self.checkConfiguration(model.metadata.config) }
        let source = dtype.map { ConvertedTensors(model.source, to: $0) as any TensorSource } ?? model.source

        var metadata = model.metadata
        metadata.createdBy = Tool.name
        let name = URL(fileURLWithPath: input).lastPathComponent
        var arguments: [(String, JSON)] = [
            ("source", .string(name)), ("dtype", dtype.map { .string($0.rawValue) } ?? .null),
        ]
        if let adapter { arguments.append(("adapter", try adapter.record())) }
        metadata.lineage = [
            LineageEntry(
                operation: "import",
                arguments: .object(JSONObject(arguments)),
                parent: nil, tool: Tool.name,
                report: [
                    "notes": .array(model.notes.map(JSON.string)), "attribution": model.attribution.json,
                ]
            ).text
        ]
        let tensors = source.tensors.map { TensorToWrite(reading: $0, from: source) }
        let bar = ProgressBar(
            "importing", total: source.tensors.reduce(0) { $0 + $1.byteCount }, unit: .bytes)
        let written = try CheckpointWriter.write(
            metadata, tensors: tensors, to: output.output, overwrite: output.force, progress: { bar.update($0) })
        bar.finish()
        let parameters = source.tensors.reduce(0) { $0 + $1.elementCount }
        print(
            "\(output.output): \(Format.counted(parameters, "parameter")) in \(Format.counted(source.tensors.count, "tensor")), "
                + "\(Format.bytes(written.logicalByteCount)) as \(Format.bytes(written.fileByteCount)), "
                + "digest \(Format.shortDigest(written.digest))")
        for note in model.notes + [ConfigurationNote.text(model.metadata.config)].compactMap(\.self) {
            Terminal.writeError("ckpt: note: \(note)")
        }
        if let tokenizer = model.metadata.tokenizer {
            do {
                _ = try Tokenizer(json: tokenizer.json)
            } catch {
                Terminal.warn("the tokenizer cannot be used: \(error)")
            }
        }
        if let problem = Self.mismatch(model.metadata, source.tensors) {
            Terminal.warn("\(problem); the model can be inspected, compared and exported but not run or trained")
        }
    }

    /// Merges an adapter into a checkpoint, as `ckpt merge --adapter` does.
    private func merge(_ adapter: PEFTAdapter) throws {
        guard dtype == nil, chatTemplate == nil else {
            throw ImportError.checkpoint(input, option: dtype == nil ? "--chat-template" : "--dtype")
        }
        let file = try CheckpointFile(path: input)
        let bar = ProgressBar(
            "merging", total: file.tensors().reduce(0) { $0 + $1.description.byteCount }, unit: .bytes)
        let result = try Merge.run(file, adapter: adapter, to: output.destination { bar.update($0) })
        bar.finish()
        print(
            "\(output.output): \(Format.counted(result.writtenTensorCount, "tensor")) merged, "
                + "\(Format.bytes(result.fileByteCount)), digest \(Format.shortDigest(result.digest))")
        for note in result.notes { Terminal.writeError("ckpt: note: \(note)") }
    }

    /// Checks that ckpt runs what config.json describes.
    private static func checkConfiguration(_ text: String) throws {
        do { _ = try ModelConfiguration(json: text) } catch { throw ImportError.unsupported("\(error)") }
    }

    /// Why the engine cannot run the model, or nil if its configuration and tensors match.
    private static func mismatch(_ metadata: CheckpointMetadata, _ tensors: [TensorDescription]) -> String? {
        do {
            let configuration = try ModelConfiguration(json: metadata.config)
            return ArchitectureFit.problem(configuration, tensors, tied: metadata.tiedTensors)
        } catch {
            return "\(error)"
        }
    }
}

/// Why a model is not imported.
enum ImportError: Error, CustomStringConvertible {
    case unsupported(String)
    case checkpoint(String, option: String)

    var description: String {
        switch self {
        case .checkpoint(let path, let option):
            "\(option): \(path) is a checkpoint already; use ckpt cast or ckpt config on the result"
        case .unsupported(let reason):
            "\(reason); --allow-unsupported imports the model nevertheless, for inspection, comparison and export"
        }
    }
}

extension ElementType: ExpressibleByArgument {
    /// The types in which weights can be stored.
    static let modelTypes: [ElementType] = [.float32, .float16, .bfloat16]

    /// Checks the value of `--dtype`.
    ///
    /// - Throws: `ValidationError` if weights cannot be stored in `type`.
    static func checkModelType(_ type: ElementType?) throws {
        if let type, !modelTypes.contains(type) {
            throw ValidationError("--dtype must be \(modelTypes.map(\.rawValue).joined(separator: ", "))")
        }
    }

    public static var allValueStrings: [String] { modelTypes.map(\.rawValue) }
}
