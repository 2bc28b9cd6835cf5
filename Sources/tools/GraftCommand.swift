import ArgumentParser
import CheckpointIO
import Surgery

struct GraftCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graft",
        abstract: "Replace tensors of a model with those of another checkpoint.",
        discussion: """
            Example:
              ckpt graft model.h5 donor.h5 --tensor 'model.layers.0.*' -o grafted.h5

            Everything else comes from the first model. Shapes must agree; compressed chunks are copied unchanged.
            """)

    @Argument(help: ArgumentHelp("The model to change.", valueName: "model"), completion: .file(extensions: ["h5"]))
    var input: String

    @Argument(
        help: ArgumentHelp("The checkpoint to take tensors from.", valueName: "donor"),
        completion: .file(extensions: ["h5"]))
    var donor: String

    @Option(name: .customLong("tensor"), help: "Tensors to take; * matches anything; may be repeated.")
    var patterns: [String]

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        let donor = try CheckpointFile(path: donor)
        try options.run([file]) { destination in
            try Graft.run(file, from: donor, matching: patterns.map(NamePattern.init), to: destination)
        }
    }
}
