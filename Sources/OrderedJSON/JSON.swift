/// A JSON value that keeps what a round trip must keep: the order of keys and the exact text of numbers.
///
/// Foundation's parser reorders keys and silently keeps the last of two equal ones; a reader of untrusted
/// checkpoints has to refuse those, and an editor of `tokenizer.json` has to leave the rest of it alone.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The literal as written, which is valid JSON number syntax.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// An exact integer.
    public static func integer(_ value: Int) -> JSON { .number(String(value)) }

    /// A finite number in its shortest form that reads back to the same bits; `null` where it is not finite.
    public static func double(_ value: Double) -> JSON {
        guard value.isFinite else { return .null }
        if value == value.rounded(), abs(value) < 1e15 { return .number(String(Int(value))) }
        return .number("\(value)")
    }
}

extension JSON {
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The value of an integer literal (`3`, not `3.0`), if it fits.
    public var int: Int? {
        if case .number(let literal) = self { Int(literal) } else { nil }
    }

    public var double: Double? {
        if case .number(let literal) = self { Double(literal) } else { nil }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    public var isNull: Bool { self == .null }

    /// The member of that name, or nil where this is no object or has none. Setting nil removes it.
    public subscript(key: String) -> JSON? {
        get { object?[key] }
        set {
            var members = object ?? JSONObject()
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The kind of value, in the words of an error message.
    public var kindName: String {
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

/// The members of a JSON object, in order, with look-up by key in constant time.
public struct JSONObject: Sendable, Equatable {
    private var members: [(key: String, value: JSON)] = []
    private var places: [Key: Int] = [:]

    /// Keys are equal when their bytes are. Swift's own equality takes "é" and "e" + accent for the same string,
    /// which two entries of a vocabulary must not be.
    private struct Key: Hashable {
        let text: String

        static func == (left: Key, right: Key) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    public init() {}

    /// Later members replace earlier ones of the same key.
    public init(_ members: some Sequence<(String, JSON)>) {
        for (key, value) in members { self[key] = value }
    }

    public var keys: [String] { members.map(\.key) }
    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }

    /// Reading is O(1), replacing too; removing is O(count).
    public subscript(key: String) -> JSON? {
        get { places[Key(text: key)].map { members[$0].value } }
        set {
            let identity = Key(text: key)
            switch (places[identity], newValue) {
            case (let place?, let newValue?): members[place].value = newValue
            case (nil, let newValue?):
                places[identity] = members.count
                members.append((key, newValue))
            case (let place?, nil):
                members.remove(at: place)
                places[identity] = nil
                for later in place..<members.count { places[Key(text: members[later].key)] = later }
            case (nil, nil): break
            }
        }
    }

    /// Two objects are equal when they have the same members, whatever their order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }
}

extension JSONObject: Sequence {
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
