import ArgumentParser
import Surgery

struct ResizeVocabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize-vocab",
        abstract: "Pad the vocabulary to a multiple of a number.",
        discussion: """
            Example:
              ckpt resize-vocab tokens.h5 --pad-to-multiple-of 64 -o padded.h5

            Rows that no token uses are mean rows, so that they take no more probability than an average token. The \
            matrix never shrinks.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to pad.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @Option(help: "What the number of rows is to be a multiple of.")
    var padToMultipleOf: Int

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        try options.run([file]) { tool, progress in
            try ResizeVocabulary.run(
                file, toMultipleOf: padToMultipleOf, output: options.output.output, overwrite: options.output.force,
                tool: tool, progress: progress)
        }
    }
}
