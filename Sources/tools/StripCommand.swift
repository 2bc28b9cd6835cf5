import ArgumentParser
import Surgery

struct StripCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strip",
        abstract: "Remove optimizer, adapter and training state.",
        discussion: """
            Example:
              ckpt strip sft/step-000020.h5 -o model.h5

            Weights, history, probes and lineage are copied unchanged. The weights contain the adapter.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to strip.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        try options.run([file]) { destination in
            try Strip.run(file, to: destination)
        }
    }
}
