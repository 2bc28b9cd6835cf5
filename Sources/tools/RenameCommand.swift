import ArgumentParser
import Surgery

struct RenameCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Give tensors other names.",
        discussion: """
            Example:
              ckpt rename model.h5 'model.*=transformer.*' -o renamed.h5

            Each * of the new name is what the * in that place of the pattern stood for. The first rule that matches a \
            tensor counts. Optimizer moments and ties are renamed with their weights; no tensor is read.
            """)

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var input: String

    @Argument(help: ArgumentHelp("What to rename to what.", valueName: "old=new"))
    var rules: [String]

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        let rules = try rules.map { rule in
            let parts = rule.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw SurgeryError.badOption(name: "rename", reason: "\(rule) is no rule; give OLD=NEW")
            }
            return try Rename.Rule(parts[0], parts[1])
        }
        let file = try options.open(input)
        try options.run([file]) { tool, progress in
            try Rename.run(
                file, rules, to: options.output.output, overwrite: options.output.force, tool: tool, progress: progress)
        }
    }
}
