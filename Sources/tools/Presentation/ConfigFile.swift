import ArgumentParser
import Foundation
import Yams

/// Flags from a YAML file: a mapping of flag names, without their dashes, to scalars, or to lists for flags that may be
/// given several times.
///
/// They are put in front of those on the command line and go through the same parser, so a file can say whatever the
/// command line can, in the same words, and nothing else.
enum ConfigFile {
    enum Failure: Error, CustomStringConvertible {
        case unreadable(String, String)
        case unfit(String, line: Int?, String)

        var description: String {
            switch self {
            case .unreadable(let path, let reason): "\(path): \(reason)"
            case .unfit(let path, let line, let reason): path + (line.map { ", line \($0)" } ?? "") + ": " + reason
            }
        }
    }

    private static let maximumBytes = 1 << 20

    /// The file that `--config` names.
    static func path(in arguments: [String]) -> String? { path(in: arguments.dropFirst()) }

    /// The command line with the flags of its `--config` file, where it has one.
    ///
    /// - Parameter arguments: the verb first.
    static func expanded(_ arguments: [String]) throws -> [String] {
        guard let verb = arguments.first, let path = path(in: arguments.dropFirst()),
            let command = Ckpt.command(named: verb)
        else { return arguments }
        let flags = Flags(of: command)
        // A command without --config says so itself.
        guard flags.takesValue["config"] != nil else { return arguments }
        let given = Set(
            arguments.dropFirst().filter { $0.hasPrefix("--") }.map { $0.dropFirst(2).prefix { $0 != "=" } }.map(
                String.init))
        var inserted: [String] = []
        for (key, line, value) in try entries(path) {
            guard let takesValue = flags.takesValue[key], key != "config" else {
                throw Failure.unfit(
                    path, line: line,
                    "\"\(key)\" is no flag of ckpt \(verb)\(flags.nearest(to: key).map { "; did you mean \"\($0)\"?" } ?? "")"
                )
            }
            guard !given.contains(key), !(key == "output" && arguments.contains("-o")) else { continue }
            if takesValue {
                inserted += value.flatMap { ["--\(key)=\($0)"] }
            } else {
                guard value.count == 1, ["true", "false"].contains(value[0]) else {
                    throw Failure.unfit(path, line: line, "\"\(key)\" is a switch: true or false")
                }
                if value[0] == "true" { inserted.append("--" + key) }
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
            throw Failure.unreadable(path, "cannot be read")
        }
        guard data.count <= maximumBytes, let text = String(data: data, encoding: .utf8) else {
            throw Failure.unreadable(path, "is no YAML file of at most 1 MiB in UTF-8")
        }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw Failure.unreadable(path, "is no YAML: \(error)")
        }
        guard let root else { return [] }
        guard let mapping = root.mapping else {
            throw Failure.unfit(path, line: root.mark?.line, "must be a mapping of flags to values, like lr: 1e-4")
        }
        return try mapping.map { key, value in
            guard let name = key.scalar?.string else {
                throw Failure.unfit(path, line: key.mark?.line, "a key must be the name of a flag")
            }
            return (name, key.mark?.line, try scalars(value, of: name, path))
        }
    }

    private static func scalars(_ node: Node, of key: String, _ path: String) throws -> [String] {
        let nodes = node.sequence.map { Array($0) } ?? [node]
        return try nodes.map { node in
            guard let text = node.scalar?.string, node.tag != Tag(.null), !text.isEmpty else {
                throw Failure.unfit(
                    path, line: node.mark?.line,
                    "\"\(key)\" must be a text, a number, true or false, or a list of these")
            }
            return text
        }
    }

    /// The long flags of a command, read off its help so that there is no second list of them.
    private struct Flags {
        /// By name; false for a switch.
        var takesValue: [String: Bool] = [:]

        init(of command: any ParsableCommand.Type) {
            for line in command.helpMessage(columns: 400).split(separator: "\n") {
                let words = line.split(separator: " ")
                guard line.hasPrefix("  -"), let name = words.first(where: { $0.hasPrefix("--") }) else { continue }
                let after = words.drop { $0 != name }.dropFirst().first
                takesValue[String(name.dropFirst(2))] = after?.hasPrefix("<") == true
            }
        }

        /// The flag that shares the longest start.
        func nearest(to key: String) -> String? {
            let best = takesValue.keys.filter { $0 != "help" && $0 != "version" }
                .map { ($0, $0.commonPrefix(with: key).count) }
                .max { ($0.1, $1.0) < ($1.1, $0.0) }
            return best.flatMap { $0.1 >= 2 ? $0.0 : nil }
        }
    }
}
