import Foundation

/// The global functions.
enum TemplateFunctions {
    static let names = ["range", "namespace", "dict", "raise_exception", "strftime_now"]

    static func call(
        _ name: String, _ arguments: inout TemplateCallArguments, _ budget: inout TemplateBudget
    ) throws -> TemplateValue {
        let result: TemplateValue
        switch name {
        case "range": result = try range(&arguments, &budget)
        case "namespace", "dict":
            var members = TemplateDictionary()
            if let given = arguments.positional.first {
                guard case .dictionary(let copied) = given else {
                    throw TemplateFault("\"\(name)\" takes a dictionary or named values")
                }
                members = copied
                arguments.positional.removeFirst()
            }
            for argument in arguments.named {
                try budget.admit(argument.value)
                members[argument.name] = argument.value
            }
            arguments.named = []
            guard name == "namespace" else {
                result = .dictionary(members)
                break
            }
            let namespace = TemplateNamespace()
            namespace.members = members
            result = .namespace(namespace)
        case "raise_exception":
            let message = try arguments.required("message", of: name)
            try budget.spendText(of: message)
            throw TemplateFault(message.text, kind: .refusedByTemplate)
        default: result = .string(try date(&arguments))
        }
        try arguments.finish("\"\(name)\"")
        return result
    }

    private static func range(
        _ arguments: inout TemplateCallArguments, _ budget: inout TemplateBudget
    ) throws -> TemplateValue {
        let bounds = try arguments.positional.map { value in
            guard let bound = value.integer else { throw TemplateFault("\"range\" needs integers") }
            return bound
        }
        arguments.positional = []
        guard (1...3).contains(bounds.count) else { throw TemplateFault("\"range\" takes one to three integers") }
        let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw TemplateFault("\"range\" cannot have step 0") }
        var values: [TemplateValue] = []
        var value = start
        while step > 0 ? value < stop : value > stop {
            guard values.count < TemplateBudget.maximumRange else {
                throw TemplateFault("the range has more than \(TemplateBudget.maximumRange) elements", kind: .limit)
            }
            try budget.spend(8)
            values.append(.int(value))
            let (next, overflow) = value.addingReportingOverflow(step)
            if overflow { break }
            value = next
        }
        return .list(values)
    }

    /// The current local time in a `strftime` format.
    private static func date(_ arguments: inout TemplateCallArguments) throws -> String {
        let format = try arguments.string("format", of: "strftime_now")
        guard format.utf8.count <= 256 else {
            throw TemplateFault("the date format is longer than 256 bytes", kind: .limit)
        }
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = strftime(&buffer, buffer.count, format, &parts)
        return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
