import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON

/// The command `ckpt` and its tree of subcommands.
@main
struct Ckpt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ckpt",
        abstract: "Turn a language model into a hybrid reasoner and see what changed.",
        discussion: """
            Commands read checkpoints and write new ones; none changes a checkpoint in place.

              ckpt import SmolLM2-135M-Instruct/ -o base.h5
              ckpt add-tokens base.h5 -o tokens.h5
              ckpt train-sft tokens.h5 --data pairs.jsonl -o sft/ --steps 20
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl -o rl/ --steps 5
              ckpt diff rl/

            Exit status: 0 success; 1 diff found differences, verify found damage, or eval missed a required accuracy \
            or mode share; 2 an error; 141 the reader of a pipe has gone, as in `ckpt … | head`.
            """,
        version: BuildDescription.text,
        groupedSubcommands: [
            CommandGroup(name: "In and out", subcommands: [ImportCommand.self, ExportCommand.self, InitCommand.self]),
            CommandGroup(
                name: "Surgery",
                subcommands: [
                    AddTokensCommand.self, ResizeVocabCommand.self, CastCommand.self, RenameCommand.self,
                    ExtractCommand.self, GraftCommand.self, MergeCommand.self, StripCommand.self,
                ]),
            CommandGroup(
                name: "Data",
                subcommands: [
                    MakeTaskCommand.self, DistillCommand.self, CheckDataCommand.self, TokenizeCommand.self,
                ]),
            CommandGroup(name: "Training", subcommands: [TrainSFTCommand.self, TrainRLCommand.self]),
            CommandGroup(name: "Judging", subcommands: [EvalCommand.self, GradeCommand.self, GenerateCommand.self]),
            CommandGroup(name: "Looking", subcommands: [InspectCommand.self, DiffCommand.self, VerifyCommand.self]),
        ]
    )

    /// The subcommand called `name`.
    static func command(named name: String) -> (any ParsableCommand.Type)? {
        configuration.groupedSubcommands.flatMap(\.subcommands).first { $0.configuration.commandName == name }
    }

    /// Runs the command line and ends the process.
    static func main() async {
        StandardStreams.prepare()
        StandardStreams.exit(await runCommandLine())
    }

    /// Runs the command line; an error is one line on stderr and exit status 2, help and version go to stdout.
    private static func runCommandLine() async -> Int32 {
        do {
            let arguments = try ConfigFile.expanded(
                Array(CommandLine.arguments.dropFirst()), of: Self.command(named:))
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let status as ExitCode {
            return status.rawValue
        } catch  where exitCode(for: error).isSuccess {
            print(fullMessage(for: error))
        } catch {
            let given = ConfigFile.path(in: Array(CommandLine.arguments.dropFirst()))
            let source = given.map { isUsageError(error) ? " (flags of \($0) included)" : "" } ?? ""
            Terminal.writeError("ckpt: error: \(line(for: error))\(source)")
            return 2
        }
        return 0
    }

    private static func isUsageError(_ error: any Error) -> Bool { exitCode(for: error) == .validationFailure }

    /// The message of an error; errors of Foundation about files are reduced to path and reason.
    private static func text(of error: any Error) -> String {
        let failure = error as NSError
        guard failure.domain == NSCocoaErrorDomain, let path = failure.userInfo[NSFilePathErrorKey] as? String else {
            return message(for: error)
        }
        let cause = (failure.userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
        let reason = cause.map { String(cString: strerror(Int32($0.code))) } ?? failure.localizedDescription
        return "\(path): \(reason.prefix(1).lowercased() + reason.dropFirst())"
    }

    /// The message as one line that begins in lower case; a usage error also names the help to read.
    private static func line(for error: any Error) -> String {
        let text = text(of: error).split(whereSeparator: \.isNewline).joined(separator: "; ").onOneLine(limit: 4000)
        guard isUsageError(error) else { return text }
        let verb = CommandLine.arguments.dropFirst().first { name in
            configuration.groupedSubcommands.contains { group in
                group.subcommands.contains { $0.configuration.commandName == name }
            }
        }
        let sentence = text.replacing(". Please provide", with: "; give").replacing(
            ". Did you mean", with: "; did you mean")
        let first = sentence.prefix(1).lowercased() + sentence.dropFirst()
        return (first.hasSuffix(".") ? String(first.dropLast()) : first) + "; see ckpt help"
            + (verb.map { " \($0)" } ?? "")
    }
}
