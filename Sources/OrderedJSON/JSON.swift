/// A JSON value that round-trips the order of keys and the exact text of numbers.
///
/// Foundation's parser reorders keys and silently keeps the last of two equal ones. A reader of untrusted checkpoints
/// must reject duplicates, and an editor of `tokenizer.json` must keep everything else unchanged.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The literal as written, in valid JSON number syntax.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// Makes a number from an integer.
    public static func integer(_ value: Int) -> JSON { .number(String(value)) }

    /// Makes a number in the shortest form that reads back to the same bits, or `null` if it is not finite.
    public static func double(_ value: Double) -> JSON {
        guard value.isFinite else { return .null }
        if value == value.rounded(), abs(value) < 1e15 { return .number(String(Int(value))) }
        return .number("\(value)")
    }
}

extension JSON {
    /// The value of a boolean, or nil.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The value of an integer literal (`3`, not `3.0`) that fits into `Int`, or nil.
    public var int: Int? {
        if case .number(let literal) = self { Int(literal) } else { nil }
    }

    /// The value of a number, or nil.
    public var double: Double? {
        if case .number(let literal) = self { Double(literal) } else { nil }
    }

    /// The value of a string, or nil.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The elements of an array, or nil.
    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members of an object, or nil.
    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// A member of an object; nil if there is none or this is not an object.
    ///
    /// Setting nil removes the member; setting a member of another kind of value replaces it with an object.
    public subscript(key: String) -> JSON? {
        get { object?[key] }
        set {
            var members = object ?? JSONObject()
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The type of the value for error messages.
    package var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A string whose equality is that of its UTF-8 bytes.
///
/// Swift considers "é" and "e" + combining accent equal, but they are two entries of a vocabulary.
private struct ExactString: Hashable {
    let text: String

    static func == (left: ExactString, right: ExactString) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// The members of a JSON object in order, with constant-time look-up by key.
public struct JSONObject: Sendable, Equatable {
    private var members: [(key: String, value: JSON)] = []
    private var places: [ExactString: Int] = [:]

    /// Creates an empty object.
    public init() {}

    /// Creates an object; a later member replaces an earlier one with the same key.
    public init(_ members: some Sequence<(String, JSON)>) {
        for (key, value) in members { self[key] = value }
    }

    /// The keys in order.
    public var keys: [String] { members.map(\.key) }
    /// The number of members.
    public var count: Int { members.count }
    /// Whether there are no members.
    public var isEmpty: Bool { members.isEmpty }

    /// The value of a member; setting nil removes it.
    ///
    /// - Complexity: O(1) to read or replace, O(count) to remove.
    public subscript(key: String) -> JSON? {
        get { places[ExactString(text: key)].map { members[$0].value } }
        set {
            let identity = ExactString(text: key)
            switch (places[identity], newValue) {
            case (let place?, let newValue?): members[place].value = newValue
            case (nil, let newValue?):
                places[identity] = members.count
                members.append((key, newValue))
            case (let place?, nil):
                members.remove(at: place)
                places[identity] = nil
                for later in place..<members.count { places[ExactString(text: members[later].key)] = later }
            case (nil, nil): break
            }
        }
    }

    /// Compares members regardless of their order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }
}

extension JSONObject: Sequence {
    /// Iterates over the members in order.
    public func makeIterator() -> IndexingIterator<[(key: String, value: JSON)]> { members.makeIterator() }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
}
