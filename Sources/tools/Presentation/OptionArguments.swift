import ArgumentParser
import TrainLoop

/// A group of flags, each of which sets the option with the same flag in a stage's option table.
///
/// The value of a flag that was not given is nil, false or empty, so that a preset, the defaults or the options of a
/// resumed run apply.
protocol OptionArguments: ParsableArguments {}

extension OptionArguments {
    /// Sets the options whose flags were given.
    func apply(to options: inout some RecordedOptions) {
        for (label, wrapper) in Mirror(reflecting: self).children {
            guard let label, let value = (wrapper as? any GivenArgument)?.given else { continue }
            // ArgumentParser derives a flag from the name of its property in the same way: `maxNewTokens`, whose
            // wrapper is `_maxNewTokens`, is `--max-new-tokens`.
            let flag = label.dropFirst().reduce(into: "--") { flag, character in
                flag += character.isUppercase ? "-" + character.lowercased() : String(character)
            }
            precondition(options.setOption(flag, to: value), "no option of this type has the flag \(flag)")
        }
    }
}

/// An argument whose value may be absent.
private protocol GivenArgument {
    var given: Any? { get }
}

extension Option: GivenArgument {
    fileprivate var given: Any? { present(wrappedValue) }
}

extension Flag: GivenArgument {
    fileprivate var given: Any? { present(wrappedValue) }
}

/// The value of an argument, unwrapped; nil if it is nil, false or an empty list.
private func present(_ value: Any) -> Any? {
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional { return mirror.children.first?.value }
    return value as? Bool == false || (value as? [String])?.isEmpty == true ? nil : value
}
