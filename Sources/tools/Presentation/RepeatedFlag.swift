/// The values of a flag that is given many times, as one argument; the parser's time grows with the square of their
/// number.
package enum RepeatedFlag {
    private static let separator: Character = ","

    /// The arguments with all values of `--name` joined at the place of the first.
    package static func joined(_ name: String, in arguments: [String]) -> [String] {
        let flag = "--" + name
        var others: [String] = []
        var values: [String] = []
        var place: Int?
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                others += [argument] + rest
                break
            }
            let value = argument.hasPrefix(flag + "=") ? String(argument.dropFirst(flag.count + 1)) : nil
            guard argument == flag || value != nil, let value = value ?? rest.popFirst() else {
                others.append(argument)
                continue
            }
            place = place ?? others.count
            values.append(value)
        }
        guard let place else { return arguments }
        others.insert(flag + "=" + values.joined(separator: String(separator)), at: place)
        return others
    }

    /// The values of joined arguments.
    package static func split(_ values: [String]) -> [String] {
        values.flatMap { $0.split(separator: separator, omittingEmptySubsequences: false).map(String.init) }
    }
}
