import Foundation

/// The help of the parser, with its longest lines broken.
package enum HelpText {
    /// Breaks the line of usage between arguments, and removes double empty lines.
    ///
    /// The parser breaks all other lines.
    package static func layOut(_ help: String, width: Int) -> String {
        guard help.hasPrefix("OVERVIEW: ") else { return help }
        return help.replacing("\n\n\n", with: "\n\n").split(separator: "\n", omittingEmptySubsequences: false)
            .flatMap { $0.hasPrefix("USAGE: ") ? usage($0, width: width) : [String($0)] }.joined(separator: "\n")
    }

    private static func usage(_ text: Substring, width: Int) -> [String] {
        var lines = [""]
        for argument in arguments(of: text) {
            let last = lines[lines.count - 1]
            if last.isEmpty || last.cells + 1 + argument.cells <= width {
                lines[lines.count - 1] += (last.isEmpty ? "" : " ") + argument
            } else {
                lines.append(String(repeating: " ", count: 7) + argument)
            }
        }
        return lines
    }

    /// The words of a usage; what is in brackets, and an option with its value, is one.
    private static func arguments(of usage: Substring) -> [String] {
        var (arguments, depth) = ([String](), 0)
        for word in usage.split(separator: " ") {
            let isValue = word.hasPrefix("<") && arguments.last?.hasPrefix("-") == true
            if depth > 0 || isValue || word == "..." {
                arguments[arguments.count - 1] += " " + word
            } else {
                arguments.append(String(word))
            }
            depth += word.count { $0 == "[" } - word.count { $0 == "]" }
        }
        return arguments
    }
}
