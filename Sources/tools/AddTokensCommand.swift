import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

struct AddTokensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-tokens",
        abstract: "Add the control tokens <think>, </think> and <short> to a model.",
        discussion: """
            Examples:
              ckpt add-tokens base.h5 -o tokens.h5
              ckpt add-tokens base.h5 --init auto --fix-template -o tokens.h5

            Existing tokens are kept. Unused rows are taken before the matrix grows; it never shrinks. Tokenizer, \
            configuration, optimizer moments and chat template are changed together, every new token is checked to \
            encode to one id, and the new file records the operation.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to start from.", valueName: "checkpoint"),
        completion: .file(extensions: ["h5"]))
    var input: String

    @Option(name: .customLong("token"), help: "A token to add; may be repeated. Default: the three control tokens.")
    var tokens: [String] = []

    @Option(
        name: .customLong("rename"),
        help: ArgumentHelp("Rename a reserved token; it keeps its id and row. May be repeated.", valueName: "old=new"))
    var renames: [String] = []

    @Option(
        name: .customLong("init"),
        help: ArgumentHelp(
            "How new rows are initialized: mean, copy=TOKEN, auto (<think> and <short> copy a likely first answer token) "
                + "or normal.",
            valueName: "how"))
    var initialization = "mean"

    @Option(help: "Seed of the noise that makes new rows distinct.")
    var seed: UInt64 = 0

    @Flag(help: "Remove what the chat template adds after the assistant's header (<think>, an empty thought).")
    var fixTemplate = false

    @Flag(help: "Do not rescale mean rows to the median norm.")
    var noRescale = false

    @Option(
        help: ArgumentHelp(
            "full also measures the KL between old and new model with one forward pass; fast does not.",
            valueName: "full|fast"))
    var report = "full"

    @Flag(help: "Print the report as JSON.")
    var json = false

    @OptionGroup var output: OutputOptions

    mutating func run() throws {
        var options = AddTokensOptions()
        if !tokens.isEmpty { options.tokens = tokens }
        options.renames = try renames.map(Self.rename)
        // A renamed token need not be given as --token, too.
        for rename in options.renames where !options.tokens.contains(rename.new) { options.tokens.append(rename.new) }
        guard let how = RowInitialization(argument: initialization) else {
            throw SurgeryError.badOption(
                name: "--init", reason: "\(initialization) is not mean, copy=TOKEN, auto or normal")
        }
        options.initialization = how
        options.seed = seed
        options.fixesTemplate = fixTemplate
        options.rescalesMean = !noRescale
        guard ["full", "fast"].contains(report) else {
            throw SurgeryError.badOption(name: "--report", reason: "\(report) is not full or fast")
        }
        options.measuresDivergence = report == "full"
        try output.check()
        let file = try CheckpointFile(path: input)
        let total = file.allTensors.reduce(0) { $0 + $1.description.byteCount }
        let bar = ProgressBar("writing", total: total, unit: .bytes)
        let report = try AddTokens.run(file, options, to: output.destination { bar.update($0) })
        bar.finish()
        if json {
            print(json: report.json)
        } else {
            for line in AddTokensText(report: report, path: output.output).lines { print(line) }
        }
        for note in report.notes where !json { Terminal.warn(note) }
    }

    private static func rename(_ argument: String) throws -> (old: String, new: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            throw SurgeryError.badOption(name: "--rename", reason: "\(argument) is not a valid rule; give OLD=NEW")
        }
        return (parts[0], parts[1])
    }
}
