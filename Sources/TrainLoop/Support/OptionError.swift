/// An option whose value is invalid, alone or together with another option.
public struct OptionError: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    /// Checks one condition on the options.
    ///
    /// - Throws: `OptionError` with `text` if `condition` is false.
    static func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw OptionError(text()) }
    }
}
