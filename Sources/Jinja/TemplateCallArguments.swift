/// The evaluated arguments of a call, which the callee removes as it reads them.
struct TemplateCallArguments {
    var positional: [TemplateValue] = []
    var named: [(name: String, value: TemplateValue)] = []

    /// Removes the next positional argument, or else the named one.
    mutating func next(_ name: String) -> TemplateValue? {
        if !positional.isEmpty { return positional.removeFirst() }
        guard let index = named.firstIndex(where: { $0.name == name }) else { return nil }
        return named.remove(at: index).value
    }

    mutating func required(_ name: String, of callee: String) throws -> TemplateValue {
        guard let value = next(name) else { throw TemplateFault("\(callee) needs the argument \"\(name)\"") }
        return value
    }

    mutating func string(_ name: String, of callee: String) throws -> String {
        let value = try required(name, of: callee).orFault()
        guard case .string(let text) = value else {
            throw TemplateFault("\(callee) needs a string, not \(value.kindName)")
        }
        return text
    }

    mutating func integer(_ name: String, of callee: String, default fallback: Int) throws -> Int {
        guard let value = next(name) else { return fallback }
        guard let integer = value.integer else {
            throw TemplateFault("\(callee) needs an integer, not \(value.kindName)")
        }
        return integer
    }

    mutating func bool(_ name: String, default fallback: Bool) -> Bool { next(name)?.isTrue ?? fallback }

    /// Checks that all arguments have been read.
    func finish(_ callee: String) throws {
        if let extra = named.first { throw TemplateFault("\(callee) has no argument \"\(extra.name)\"") }
        guard positional.isEmpty else { throw TemplateFault("too many arguments for \(callee)") }
    }
}
