import ArgumentParser
import Surgery

struct RenameCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Rename tensors.",
        discussion: """
            Example:
              ckpt rename model.h5 'model.*=transformer.*' -o renamed.h5

            The n-th * of the new name takes the text that the n-th * of the old name matched. The first rule that \
            matches a tensor applies. Optimizer moments and ties are renamed with their weights.
            """)

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @Argument(help: ArgumentHelp("Rules: old names and new names; * matches anything.", valueName: "old=new"))
    var rules: [String]

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let rules = try rules.map { rule in
            let parts = rule.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw SurgeryError.badOption(name: "rename", reason: "\(rule) is not a valid rule; give OLD=NEW")
            }
            return try Rename.Rule(parts[0], parts[1])
        }
        let file = try options.open(input)
        try options.run([file]) { destination in
            try Rename.run(file, rules, to: destination)
        }
    }
}
