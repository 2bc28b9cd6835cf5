import OrderedJSON

/// Typed access to the key-values of a GGUF file.
struct GGUFMetadata {
    let path: String
    let values: [String: GGUFValue]
    /// The architecture, which is also the prefix of its keys.
    let architecture: String

    private func wrong(_ key: String, _ value: GGUFValue, _ wanted: String) -> ModelFormatError {
        .malformed(path: path, place: "key \(quoted(key))", reason: "is \(value.kindName), not \(wanted)")
    }

    func missing(_ key: String) -> ModelFormatError {
        .missing(path: path, what: "key \(quoted(key))", remedy: "make the file again with a current llama.cpp")
    }

    /// The error for a key of the architecture.
    func malformed(_ key: String, _ reason: String) -> ModelFormatError {
        .malformed(path: path, place: "key \(quoted(own(key)))", reason: reason)
    }

    /// The full name of a key of the architecture.
    func own(_ key: String) -> String { "\(architecture).\(key)" }

    func integer(_ key: String) throws -> Int? {
        switch values[key] {
        case nil: nil
        case .integer(let value): value
        // Some files have one number per layer.
        case .integers(let list) where !list.isEmpty && list.allSatisfy({ $0 == list[0] }): list[0]
        case let value?: throw wrong(key, value, "an integer")
        }
    }

    /// An integer from 1 to `maximum`.
    func size(_ key: String, maximum: Int = 1 << 31) throws -> Int? {
        guard let value = try integer(key) else { return nil }
        guard value >= 1, value <= maximum else {
            throw ModelFormatError.malformed(
                path: path, place: "key \(quoted(key))", reason: "\(value) is not between 1 and \(maximum)")
        }
        return value
    }

    func required(_ key: String, maximum: Int = 1 << 31) throws -> Int {
        guard let value = try size(key, maximum: maximum) else { throw missing(key) }
        return value
    }

    /// A finite number, also as JSON; a float32 has the shortest digits that parse to the same float32.
    func number(_ key: String) throws -> (value: Double, json: JSON)? {
        let result: (value: Double, json: JSON)
        switch values[key] {
        case nil: return nil
        case .integer(let value): result = (Double(value), .integer(value))
        case .float32(let value):
            let text = "\(value)"
            result = (
                Double(value), value == value.rounded() && abs(value) < 1e15 ? .double(Double(value)) : .number(text)
            )
        case .float64(let value): result = (value, .double(value))
        case let value?: throw wrong(key, value, "a number")
        }
        guard result.value.isFinite else {
            throw ModelFormatError.malformed(path: path, place: "key \(quoted(key))", reason: "is not finite")
        }
        return result
    }

    func bool(_ key: String) throws -> Bool? {
        switch values[key] {
        case nil: nil
        case .bool(let value): value
        case let value?: throw wrong(key, value, "a boolean")
        }
    }

    func string(_ key: String) throws -> String? {
        switch values[key] {
        case nil: nil
        case .string(let value) where value.utf8.contains(0):
            throw ModelFormatError.malformed(
                path: path, place: "key \(quoted(key))", reason: "has a NUL character")
        case .string(let value): value
        case let value?: throw wrong(key, value, "a string")
        }
    }

    func strings(_ key: String) throws -> [String]? {
        switch values[key] {
        case nil: nil
        case .strings(let value): value
        // An empty array may have any element type.
        case .integers(let list) where list.isEmpty: []
        case let value?: throw wrong(key, value, "an array of strings")
        }
    }

    func floats(_ key: String) throws -> [Double]? {
        switch values[key] {
        case nil: nil
        case .floats(let value): value
        case .integers(let list) where list.isEmpty: []
        case let value?: throw wrong(key, value, "an array of numbers")
        }
    }

    func integers(_ key: String) throws -> [Int]? {
        switch values[key] {
        case nil: nil
        case .integers(let value): value
        case let value?: throw wrong(key, value, "an array of integers")
        }
    }
}
