import ArgumentParser
import Foundation
import Yams

/// Flags from a YAML file: a mapping of flag names, without their dashes, to scalars, or to lists for flags that may be
/// repeated.
///
/// The flags are inserted before those of the command line and go through the same parser, so a file can contain
/// whatever the command line can.
enum ConfigFile {
    private static let maximumBytes = 1 << 20

    /// Commands whose `--config` is the configuration of a model.
    private static let exceptions: Set = ["import"]

    /// The file that `--config` names.
    static func path(in arguments: [String]) -> String? {
        guard let verb = arguments.first, !exceptions.contains(verb) else { return nil }
        return path(in: arguments.dropFirst())
    }

    /// The command line with the flags of its `--config` file, if it has one.
    ///
    /// - Parameters:
    ///   - arguments: the arguments of `ckpt`, the verb first.
    ///   - command: finds the command of a verb.
    /// - Returns: the arguments to parse.
    /// - Throws: `ConfigFileError`.
    static func expanded(
        _ arguments: [String], of command: (_ verb: String) -> (any ParsableCommand.Type)?
    ) throws -> [String] {
        guard let verb = arguments.first, let path = path(in: arguments), let command = command(verb) else {
            return arguments
        }
        let flags = CommandFlags(of: command)
        // The parser refuses --config for a command that does not have it.
        guard flags.takesValue["config"] != nil else { return arguments }
        let given = Set(
            arguments.dropFirst().filter { $0.hasPrefix("--") }.map { $0.dropFirst(2).prefix { $0 != "=" } }.map(
                String.init))
        var inserted: [String] = []
        for (key, line, values) in try entries(path) {
            guard let takesValue = flags.takesValue[key], key != "config" else {
                let similar = flags.similar(to: key).filter { $0 != "config" }
                let suggestion = Suggestions.question(similar.map { "\"\($0)\"" })
                throw ConfigFileError.invalid(
                    path, line: line, "\"\(key)\" is not a flag of ckpt \(verb)\(suggestion)")
            }
            guard given.isDisjoint(with: [key, "no-" + key]), !(key == "output" && arguments.contains("-o")) else {
                continue
            }
            if takesValue {
                inserted += values.map { "--\(key)=\($0)" }
            } else {
                guard values.count == 1, ["true", "false"].contains(values[0]) else {
                    throw ConfigFileError.invalid(path, line: line, "\"\(key)\" is a switch: true or false")
                }
                // A switch that is on by default has a flag that turns it off.
                let name = values[0] == "true" ? key : "no-" + key
                if flags.takesValue[name] != nil { inserted.append("--" + name) }
            }
        }
        return [verb] + inserted + arguments.dropFirst()
    }

    private static func path(in arguments: ArraySlice<String>) -> String? {
        for (index, argument) in zip(arguments.indices, arguments) {
            if argument.hasPrefix("--config=") { return String(argument.dropFirst("--config=".count)) }
            if argument == "--config", index + 1 < arguments.endIndex { return arguments[index + 1] }
        }
        return nil
    }

    private static func entries(_ path: String) throws -> [(key: String, line: Int?, value: [String])] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConfigFileError.unreadable(path, "cannot be read")
        }
        guard data.count <= maximumBytes, let text = String(data: data, encoding: .utf8) else {
            throw ConfigFileError.unreadable(path, "is not a YAML file in UTF-8 of at most 1 MiB")
        }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw ConfigFileError.unreadable(path, "is not valid YAML: \(error)")
        }
        guard let root else { return [] }
        guard let mapping = root.mapping else {
            throw ConfigFileError.invalid(
                path, line: root.mark?.line, "must be a mapping of flags to values, like lr: 1e-4")
        }
        return try mapping.map { key, value in
            guard let name = key.scalar?.string else {
                throw ConfigFileError.invalid(path, line: key.mark?.line, "a key must be the name of a flag")
            }
            return (name, key.mark?.line, try scalars(value, of: name, path))
        }
    }

    private static func scalars(_ node: Node, of key: String, _ path: String) throws -> [String] {
        let nodes = node.sequence.map { Array($0) } ?? [node]
        return try nodes.map { node in
            guard let text = node.scalar?.string, node.tag != Tag(.null), !text.isEmpty else {
                throw ConfigFileError.invalid(
                    path, line: node.mark?.line,
                    "\"\(key)\" must be a text, a number, true or false, or a list of these")
            }
            return text
        }
    }
}

/// A `--config` file that cannot be used.
enum ConfigFileError: Error, CustomStringConvertible {
    case unreadable(String, String)
    case invalid(String, line: Int?, String)

    var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): \(reason)"
        case .invalid(let path, let line, let reason): path + (line.map { ", line \($0)" } ?? "") + ": " + reason
        }
    }
}
