import ArgumentParser
import CheckpointIO
import Surgery

struct GraftCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graft",
        abstract: "Put another checkpoint's tensors in place of a model's own.",
        discussion: """
            Example:
              ckpt graft model.h5 donor.h5 --tensor 'model.layers.0.*' -o grafted.h5

            Everything but those tensors is the first model's. Shapes must agree; chunks are copied as they are.
            """)

    @Argument(help: ArgumentHelp("The model to change.", valueName: "model"), completion: .file(extensions: ["h5"]))
    var input: String

    @Argument(
        help: ArgumentHelp("The checkpoint to take tensors from.", valueName: "donor"),
        completion: .file(extensions: ["h5"]))
    var donor: String

    @Option(name: .customLong("tensor"), help: "Tensors to take; * stands for anything; may be repeated.")
    var patterns: [String]

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        let donor = try CheckpointFile(path: donor)
        try options.run([file]) { tool, progress in
            try Graft.run(
                file, from: donor, matching: patterns.map(NamePattern.init), to: options.output.output,
                overwrite: options.output.force, tool: tool, progress: progress)
        }
    }
}
