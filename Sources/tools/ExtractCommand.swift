import ArgumentParser
import CheckpointIO
import Surgery

struct ExtractCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Keep only some tensors.",
        discussion: """
            Example:
              ckpt extract model.h5 --tensor 'model.layers.0.*' -o layer0.h5

            The result is a valid checkpoint but not a complete model; `ckpt graft` inserts its tensors into one.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to take tensors from.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var input: String

    @Option(name: .customLong("tensor"), help: "Tensors to keep; * matches anything; may be repeated.")
    var patterns: [String]

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        try options.run([file]) { destination in
            try Graft.extract(file, matching: patterns.map(NamePattern.init), to: destination)
        }
    }
}
