/// The key of a dictionary entry, with Python's equality: strings by code points, and 1 == 1.0 == true.
enum TemplateKey: Hashable {
    case none
    case number(Double)
    case text([UInt8])
    case tuple([TemplateKey])
}

/// A dictionary that keeps insertion order.
struct TemplateDictionary {
    struct Entry {
        let key: TemplateValue
        var value: TemplateValue
    }

    private(set) var entries: [Entry] = []
    private var positions: [TemplateKey: Int] = [:]

    init() {}

    var count: Int { entries.count }

    subscript(text: String) -> TemplateValue? {
        get { positions[.text(Array(text.utf8))].map { entries[$0].value } }
        set {
            guard let newValue else { return }
            insert(.string(text), .text(Array(text.utf8)), newValue)
        }
    }

    func value(for key: TemplateValue) throws -> TemplateValue? {
        positions[try Self.key(key)].map { entries[$0].value }
    }

    mutating func set(_ key: TemplateValue, _ value: TemplateValue) throws {
        insert(key, try Self.key(key), value)
    }

    private mutating func insert(_ key: TemplateValue, _ identity: TemplateKey, _ value: TemplateValue) {
        if let position = positions[identity] {
            entries[position].value = value
        } else {
            positions[identity] = entries.count
            entries.append(Entry(key: key, value: value))
        }
    }

    static func key(_ value: TemplateValue) throws -> TemplateKey {
        switch value {
        case .none: return .none
        case .bool(let value): return .number(value ? 1 : 0)
        case .int(let value): return .number(Double(value))
        case .double(let value): return .number(value)
        case .string(let text): return .text(Array(text.utf8))
        case .tuple(let elements): return .tuple(try elements.map(key))
        default: throw TemplateFault("\(value.kindName) cannot be a key")
        }
    }
}
