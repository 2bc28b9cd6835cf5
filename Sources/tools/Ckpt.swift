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

            Exit status: 0 success; 1 diff found differences, verify found damage, eval missed a required accuracy or \
            mode share, or distill kept no pair; 2 an error; 130, 143, 129 or 138 ended by SIGINT, SIGTERM, SIGHUP or \
            SIGUSR1; 141 the reader of a pipe has gone, as in `ckpt … | head`.
            """,
        version: BuildDescription.text,
        groupedSubcommands: [
            CommandGroup(name: "In and out", subcommands: [ImportCommand.self, ExportCommand.self, InitCommand.self]),
            CommandGroup(
                name: "Surgery",
                subcommands: [
                    AddTokensCommand.self, ResizeVocabCommand.self, CastCommand.self, RenameCommand.self,
                    ExtractCommand.self, GraftCommand.self, MergeCommand.self, StripCommand.self, ConfigCommand.self,
                ]),
            CommandGroup(name: "Storing", subcommands: [DeltaCommand.self, ApplyCommand.self]),
            CommandGroup(
                name: "Data",
                subcommands: [
                    MakeTaskCommand.self, DistillCommand.self, CheckDataCommand.self, TokenizeCommand.self,
                ]),
            CommandGroup(name: "Training", subcommands: [TrainSFTCommand.self, TrainRLCommand.self]),
            CommandGroup(name: "Judging", subcommands: [EvalCommand.self, GradeCommand.self, GenerateCommand.self]),
            CommandGroup(
                name: "Looking",
                subcommands: [InspectCommand.self, DiffCommand.self, VerifyCommand.self, RunsCommand.self]),
        ]
    )

    /// The subcommand called `name`.
    static func command(named name: String) -> (any ParsableCommand.Type)? {
        configuration.groupedSubcommands.flatMap(\.subcommands).first { $0.configuration.commandName == name }
    }

    /// Runs the command line and ends the process.
    static func main() {
        if CommandLine.arguments.dropFirst().elementsEqual([HDF5Child.verb]) { HDF5Child.run() }
        StandardStreams.prepare()
        ExhaustedMemory.prepare()
        // Dispatch, which runs tasks, needs descriptors and memory, and ends the process without them.
        do { try ProcessLimits.check() } catch {
            writeError(error)
            StandardStreams.exit(2)
        }
        TerminationSignals.prepare()
        Task { StandardStreams.exit(await runCommandLine(Array(CommandLine.arguments.dropFirst()))) }
        dispatchMain()
    }

    /// Runs the command line; an error is one line on stderr and exit status 2, help and version go to stdout.
    private static func runCommandLine(_ given: [String]) async -> Int32 {
        do {
            try checkVerb(of: given)
            let expanded = try ConfigFile.expanded(given, of: Self.command(named:))
            var command = try parsed(RepeatedFlag.joined("freeze", in: expanded))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let status as ExitCode {
            RankProcess.finish()
            return status.rawValue
        } catch let stopped as StoppedBySignal {
            StandardStreams.flush()
            TerminationSignals.end(by: stopped.signal)
        } catch  where exitCode(for: error).isSuccess {
            print(HelpText.layOut(fullMessage(for: error), width: Terminal.size(of: STDOUT_FILENO).columns))
        } catch {
            let config = ConfigFile.path(in: given)
            let source = config.map { isUsageError(error) ? " (flags of \($0) included)" : "" } ?? ""
            TemporaryPaths.removeAllIfPossible()
            return RankProcess.fail(error) { writeError(error, prefix: $0, note: source) }
        }
        RankProcess.finish()
        return 0
    }

    /// Writes the line of an error to stderr.
    static func writeError(_ error: any Error, prefix: String = "", note: String = "") {
        Terminal.writeError("ckpt: error: \(prefix)\(line(for: error))\(note)", wraps: false)
    }

    /// Checks that the command line begins with a command, or with `help` and at most one command.
    ///
    /// - Throws: `UnknownCommand`, or `ValidationError` for a second argument of `help`.
    private static func checkVerb(of arguments: [String]) throws {
        var words = arguments[...]
        if words.first == "help" {
            words = words.dropFirst()
            if words.count > 1, let extra = words.last, !extra.hasPrefix("-") {
                throw ValidationError("Unexpected argument '\(extra.onOneLine(limit: 80))'")
            }
        }
        guard let word = words.first, !word.hasPrefix("-"), word != "help", command(named: word) == nil else { return }
        throw UnknownCommand(name: word, similar: Suggestions.commands(for: word, among: verbs))
    }

    private static var verbs: [String] {
        configuration.groupedSubcommands.flatMap(\.subcommands).compactMap { $0.configuration.commandName }
    }

    /// Parses the command line.
    ///
    /// - Throws: errors of the parser; if there is an unknown flag, that is the error, because the parser reports a
    ///   missing `-o` before the unknown `--out`.
    private static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
        do {
            return try parseAsRoot(arguments)
        } catch  where isUsageError(error) {
            guard let command = arguments.first.flatMap(Self.command(named:)),
                let flag = CommandFlags(of: command).unknownFlag(in: arguments.dropFirst())
            else { throw error }
            throw ValidationError("Unknown option '\(flag.onOneLine(limit: 80))'")
        }
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

    /// The message as one line that begins in lower case.
    ///
    /// A usage error also names what the user probably meant, or else the help to read.
    private static func line(for error: any Error) -> String {
        let text = text(of: error).split(whereSeparator: \.isNewline).joined(separator: "; ").onOneLine(limit: 4000)
        guard isUsageError(error) else { return text }
        let verb = CommandLine.arguments.dropFirst().first { command(named: $0) != nil }
        if let option = text.firstMatch(of: /^Unknown option '(-[^']*)'/)?.1 {
            let similar = verb.flatMap(command(named:)).map { CommandFlags(of: $0).similar(to: String(option)) }
            let names = similar ?? Suggestions.flags(for: String(option), among: ["help", "version"])
            // Every output is documented as -o.
            let question = Suggestions.question(names.map { $0 == "output" ? "'-o'" : "'--\($0)'" })
            if !question.isEmpty { return "unknown option '\(option)'" + question }
            return "unknown option '\(option)'; see ckpt help" + (verb.map { " \($0)" } ?? "")
        }
        let sentence = text.replacing(". Please provide", with: "; give")
        let first = sentence.prefix(1).lowercased() + sentence.dropFirst()
        let line = first.hasSuffix(".") ? String(first.dropLast()) : first
        if let invalid = text.firstMatch(of: /^The value '(.*)' is invalid for .* Please provide one of (.*)$/),
            let value = Suggestions.value(
                for: String(invalid.1),
                among: invalid.2.matches(of: /'([^']+)'|- ([^ ;]+)/).compactMap { ($0.1 ?? $0.2).map(String.init) })
        {
            return line + Suggestions.question(["'\(value)'"])
        }
        return line.hasSuffix("?") ? line : line + "; see ckpt help" + (verb.map { " \($0)" } ?? "")
    }
}

/// A command line that does not begin with a command.
private struct UnknownCommand: Error, CustomStringConvertible {
    let name: String
    /// The commands that it may mean.
    let similar: [String]

    var description: String {
        let shown = name.isEmpty ? "\"\"" : name.onOneLine(limit: 80)
        return "unknown command \(shown)" + (similar.isEmpty ? "; see ckpt help" : Suggestions.question(similar))
    }
}
