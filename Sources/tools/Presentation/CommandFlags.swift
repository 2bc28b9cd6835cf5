import ArgumentParser
import OrderedJSON

/// The flags of a command, from ArgumentParser's description of its arguments.
struct CommandFlags {
    /// Whether a flag takes a value, by its name without dashes.
    private(set) var takesValue: [String: Bool] = [:]

    init(of command: any ParsableCommand.Type) {
        let description = try? JSON.parse(command._dumpHelp())
        for argument in description?["command"]?["arguments"]?.array ?? [] {
            for name in argument["names"]?.array ?? [] where name["kind"]?.string == "long" {
                takesValue[name["name"]?.string ?? ""] = argument["kind"]?.string == "option"
            }
        }
    }

    /// The flags that the user probably meant by `word`, which is not a flag of the command; names without dashes.
    func similar(to word: String) -> [String] {
        let names = takesValue.keys.filter { $0 != "help" && $0 != "version" }
        return Suggestions.flags(for: word, among: names)
    }

    /// The first argument that looks like a flag but is not one of the command, without its value.
    ///
    /// A word after one dash, as in `-temperature`, counts as such. Whatever follows a flag with a value is taken for
    /// the value.
    func unknownFlag(in arguments: some Sequence<String>) -> String? {
        let builtIn: Set = ["help", "version", "help-hidden", "generate-completion-script", "experimental-dump-help"]
        var isValue = false
        for argument in arguments {
            if argument == "--" { return nil }
            let flag = argument.prefix { $0 != "=" }
            let name = String(flag.dropFirst(2))
            if flag.hasPrefix("--"), !isValue, takesValue[name] == nil, !builtIn.contains(name) { return String(flag) }
            let isWord = flag.hasPrefix("-") && flag.dropFirst().first?.isLetter == true && flag.count > 2
            if isWord, !isValue { return String(flag) }
            let isShort = argument.count == 2 && argument.hasPrefix("-")
            isValue = !isValue && (isShort || (flag == argument && takesValue[name] == true && flag.hasPrefix("--")))
        }
        return nil
    }
}
