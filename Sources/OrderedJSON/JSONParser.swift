/// Why a text is not valid JSON, and where.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    /// The cause, without its place.
    public let reason: String
    /// The offset in bytes from the start of the text.
    public let offset: Int
    /// The line, from 1.
    public let line: Int
    /// The column in bytes, from 1.
    public let column: Int

    /// The reason with line and column.
    public var description: String { "\(reason) at line \(line), column \(column)" }
}

extension JSON {
    /// The most members of an object, which bounds memory; no vocabulary has more.
    static let maximumMemberCount = 1 << 21

    /// Parses a JSON text (RFC 8259) in UTF-8; duplicate keys and text after the value are errors.
    ///
    /// - Parameters:
    ///   - bytes: the text.
    ///   - maximumDepth: the deepest accepted nesting, which bounds the stack.
    /// - Returns: the value.
    /// - Throws: `JSONError` with the place.
    public static func parse(_ bytes: [UInt8], maximumDepth: Int = 128) throws(JSONError) -> JSON {
        try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
            try parse(buffer, maximumDepth: maximumDepth)
        }
    }

    /// Parses a JSON text (RFC 8259); duplicate keys and text after the value are errors.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - maximumDepth: the deepest accepted nesting, which bounds the stack.
    /// - Returns: the value.
    /// - Throws: `JSONError` with the place.
    public static func parse(_ text: String, maximumDepth: Int = 128) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), maximumDepth: maximumDepth)
    }

    static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int = 128
    ) throws(JSONError) -> JSON {
        var parser = Parser(bytes: bytes, remainingDepth: maximumDepth)
        let value = try parser.value()
        parser.skipWhitespace()
        guard parser.position == bytes.count else { throw parser.error("unexpected text after the JSON value") }
        return value
    }
}

struct Parser {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    var remainingDepth: Int

    init(bytes: UnsafeBufferPointer<UInt8>, remainingDepth: Int) {
        self.bytes = bytes
        self.remainingDepth = remainingDepth
    }

    func error(_ reason: String, at offset: Int? = nil) -> JSONError {
        let offset = min(offset ?? position, bytes.count)
        var line = 1
        var lineStart = 0
        for index in 0..<offset where bytes[index] == UInt8(ascii: "\n") {
            line += 1
            lineStart = index + 1
        }
        return JSONError(reason: reason, offset: offset, line: line, column: offset - lineStart + 1)
    }

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value() throws(JSONError) -> JSON {
        skipWhitespace()
        guard let byte = current else { throw error("unexpected end of the JSON text") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try nested { (parser) throws(JSONError) in try parser.object() })
        case UInt8(ascii: "["): return .array(try nested { (parser) throws(JSONError) in try parser.array() })
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw error("unexpected character in JSON")
        }
    }

    mutating func nested<Value>(
        _ body: (inout Parser) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        guard remainingDepth > 0 else { throw error("JSON is nested too deeply") }
        remainingDepth -= 1
        position += 1
        let result = try body(&self)
        remainingDepth += 1
        return result
    }

    mutating func object() throws(JSONError) -> JSONObject {
        var members = JSONObject()
        try forEachMember { (parser, key, offset) throws(JSONError) in
            guard members[key] == nil else { throw parser.duplicateKey(key, at: offset) }
            guard members.count < JSON.maximumMemberCount else {
                throw parser.error("an object has more than \(JSON.maximumMemberCount) members", at: offset)
            }
            members[key] = try parser.value()
        }
        return members
    }

    /// Parses members and the closing brace; `body` gets each key and its offset and must consume the value.
    mutating func forEachMember(
        _ body: (inout Parser, String, Int) throws(JSONError) -> Void
    ) throws(JSONError) {
        try forEachItem(until: UInt8(ascii: "}"), "expected ',' or '}' in an object") { (parser) throws(JSONError) in
            let offset = parser.position
            guard parser.current == UInt8(ascii: "\"") else { throw parser.error("expected a key in quotation marks") }
            let key = try parser.string()
            parser.skipWhitespace()
            guard parser.current == UInt8(ascii: ":") else { throw parser.error("expected ':' after a key") }
            parser.position += 1
            try body(&parser, key, offset)
        }
    }

    func duplicateKey(_ key: String, at offset: Int) -> JSONError {
        error("duplicate key \"\(key.onOneLine(limit: 80))\"", at: offset)
    }

    mutating func array() throws(JSONError) -> [JSON] {
        var elements: [JSON] = []
        try forEachItem(until: UInt8(ascii: "]"), "expected ',' or ']' in an array") { (parser) throws(JSONError) in
            elements.append(try parser.value())
        }
        return elements
    }

    /// Parses items separated by commas up to a closing bracket; `body` parses one item.
    private mutating func forEachItem(
        until close: UInt8, _ expectation: StaticString, _ body: (inout Parser) throws(JSONError) -> Void
    ) throws(JSONError) {
        skipWhitespace()
        if current == close {
            position += 1
            return
        }
        while true {
            skipWhitespace()
            try body(&self)
            skipWhitespace()
            guard let byte = current, byte == close || byte == UInt8(ascii: ",") else { throw error("\(expectation)") }
            position += 1
            if byte == close { return }
        }
    }

    mutating func literal(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw error("unexpected end of the JSON text") }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] {
            throw error("unexpected word in JSON")
        }
        position += count
        return value
    }

    mutating func digits() -> Int {
        let start = position
        while let byte = current, byte >= 0x30, byte <= 0x39 { position += 1 }
        return position - start
    }

    mutating func number() throws(JSONError) -> String {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        let leadingZero = current == UInt8(ascii: "0")
        let integerDigits = digits()
        guard integerDigits > 0, !(leadingZero && integerDigits > 1) else {
            throw error("malformed number", at: start)
        }
        if current == UInt8(ascii: ".") {
            position += 1
            guard digits() > 0 else { throw error("malformed number", at: start) }
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            guard digits() > 0 else { throw error("malformed number", at: start) }
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    mutating func string() throws(JSONError) -> String {
        let start = position
        position += 1
        let contentStart = position
        // Fast path: most strings have no escapes.
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
            position += 1
        }
        guard let byte = current else { throw error("unterminated string", at: start) }
        if byte == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(bytes[contentStart..<position], at: start)
        }
        var unescaped = Array(bytes[contentStart..<position])
        while true {
            guard let byte = current else { throw error("unterminated string", at: start) }
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try text(unescaped[...], at: start)
            case UInt8(ascii: "\\"):
                try escape(into: &unescaped)
            case 0..<0x20:
                throw error("control character in a string")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
    }

    func text(_ content: some Collection<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: content, as: UTF8.self) else {
            throw error("invalid UTF-8 in a string", at: start)
        }
        return text
    }

    mutating func escape(into output: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        guard let byte = current else { throw error("unterminated string", at: start) }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(byte)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal(from: start)
            if (0xD800..<0xDC00).contains(code) {
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw error("lone surrogate in a string", at: start) }
                position += 2
                let low = try hexadecimal(from: start)
                guard (0xDC00..<0xE000).contains(low) else {
                    throw error("lone surrogate in a string", at: start)
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw error("lone surrogate in a string", at: start) }
            output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw error("unknown escape in a string", at: start)
        }
    }

    mutating func hexadecimal(from start: Int) throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("malformed \\u escape", at: start)
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
