import ArgumentParser
import CheckpointIO
import Surgery

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show or correct a checkpoint's config.json.",
        discussion: """
            Examples:
              ckpt config model.h5
              ckpt config model.h5 --set rms_norm_eps=1e-5 -o new.h5
              ckpt config model.h5 --unset torch_dtype -o less.h5

            Without --set and --unset, prints the text unchanged, and notes fields that the model's class in \
            transformers does not read. A value is JSON, or else a string; a dot in a key leads into an object, as in \
            rope_scaling.factor. The result must be a configuration that ckpt runs and that fits the tensors.
            """)

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @Option(name: .customLong("set"), help: ArgumentHelp("Set a field.", valueName: "key=value"))
    var fields: [String] = []

    @Option(help: ArgumentHelp("Remove a field.", valueName: "key"))
    var unset: [String] = []

    @Option(name: [.short, .customLong("output")], help: "Where to write the result.", completion: .file())
    var output: String?

    @Flag(help: "Replace the output if it exists.")
    var force = false

    func validate() throws {
        guard (output == nil) == (fields.isEmpty && unset.isEmpty) else {
            throw ValidationError(
                output == nil ? "give -o for the changed checkpoint" : "give --set or --unset, or leave out -o")
        }
    }

    mutating func run() throws {
        let edits =
            try fields.map(EditConfiguration.Edit.init(setting:)) + unset.map(EditConfiguration.Edit.init(removing:))
        guard let output else {
            let file = try CheckpointFile(path: input)
            print(unchanged: file.metadata.config, terminator: file.metadata.config.hasSuffix("\n") ? "" : "\n")
            return ConfigurationNote.write(file.metadata.config)
        }
        try OutputOptions.check(output, force: force)
        let file = try CheckpointFile(path: input)
        let bar = ProgressBar(
            "writing", total: file.allTensors.reduce(0) { $0 + $1.description.byteCount }, unit: .bytes)
        let result = try EditConfiguration.run(
            file, edits,
            to: SurgeryDestination(output, overwrite: force, tool: Tool.name, progress: { bar.update($0) }))
        bar.finish()
        print(
            "\(Style.bold(output))  \(Format.bytes(result.fileByteCount)), digest \(Format.shortDigest(result.digest))")
    }
}
