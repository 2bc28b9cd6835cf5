import ArgumentParser
import Surgery

struct ResizeVocabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize-vocab",
        abstract: "Pad the vocabulary to a multiple of a number.",
        discussion: """
            Example:
              ckpt resize-vocab tokens.h5 --pad-to-multiple-of 64 -o padded.h5

            New rows are the mean row, so that they take no more probability than an average token. The matrix never \
            shrinks.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to pad.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @Option(help: "The new number of rows is a multiple of this.")
    var padToMultipleOf: Int

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let file = try options.open(input)
        try options.run([file]) { destination in
            try ResizeVocabulary.run(file, toMultipleOf: padToMultipleOf, to: destination)
        }
    }
}
