/// Why a text is not the JSON that was asked for, and where.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    public let reason: String
    /// Offset in bytes from the start of the text.
    public let offset: Int
    /// Line and column, from 1; columns count bytes.
    public let line: Int
    public let column: Int

    public var description: String { "\(reason) at line \(line), column \(column)" }
}

extension JSON {
    /// Parses one JSON text (RFC 8259), strictly: UTF-8, no duplicate keys, nothing behind the value.
    ///
    /// - Parameter maximumDepth: nesting beyond this is refused, so that hostile input cannot exhaust the stack.
    /// - Throws: `JSONError` with the place.
    public static func parse(_ bytes: [UInt8], maximumDepth: Int = 128) throws(JSONError) -> JSON {
        try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
            try parse(buffer, maximumDepth: maximumDepth)
        }
    }

    public static func parse(_ text: String, maximumDepth: Int = 128) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), maximumDepth: maximumDepth)
    }

    public static func parse(
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
        skipWhitespace()
        if current == UInt8(ascii: "}") {
            position += 1
            return members
        }
        while true {
            skipWhitespace()
            let keyOffset = position
            guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotation marks") }
            let key = try string()
            guard members[key] == nil else {
                throw error("duplicate key \"\(key.onOneLine(limit: 80))\"", at: keyOffset)
            }
            skipWhitespace()
            guard current == UInt8(ascii: ":") else { throw error("expected ':' after a key") }
            position += 1
            members[key] = try value()
            skipWhitespace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return members
            default: throw error("expected ',' or '}' in an object")
            }
        }
    }

    mutating func array() throws(JSONError) -> [JSON] {
        var elements: [JSON] = []
        skipWhitespace()
        if current == UInt8(ascii: "]") {
            position += 1
            return elements
        }
        while true {
            elements.append(try value())
            skipWhitespace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return elements
            default: throw error("expected ',' or ']' in an array")
            }
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
        // Most strings have no escapes and are taken in one piece.
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
            output.append(contentsOf: UTF8.encode(scalar)!)
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
