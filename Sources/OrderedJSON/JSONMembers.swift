/// The members of a JSON object as unparsed text, so that only the needed members are parsed.
package struct JSONMembers: Sendable {
    /// The keys in order.
    package let keys: [String]
    /// Texts by the bytes of the key; Swift considers some different strings equal.
    private let texts: [[UInt8]: ArraySlice<UInt8>]

    /// Splits an object into its members; inside a value only strings and brackets are checked.
    ///
    /// - Throws: `JSONError` if the text is not an object, has an unclosed bracket or string or a duplicate key, or
    ///   continues after the object.
    package init(_ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var keys: [String] = []
        var texts: [[UInt8]: ArraySlice<UInt8>] = [:]
        try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
            var parser = Parser(bytes: buffer, remainingDepth: 128)
            parser.skipWhitespace()
            guard parser.current == UInt8(ascii: "{") else { throw parser.error("expected an object") }
            parser.position += 1
            try parser.forEachMember { (parser, key, offset) throws(JSONError) in
                parser.skipWhitespace()
                let start = parser.position
                try parser.skipValue()
                let text = bytes[bytes.startIndex + start..<bytes.startIndex + parser.position]
                keys.append(key)
                guard texts.updateValue(text, forKey: Array(key.utf8)) == nil else {
                    throw parser.duplicateKey(key, at: offset)
                }
            }
            parser.skipWhitespace()
            guard parser.position == buffer.count else { throw parser.error("unexpected text after the JSON value") }
        }
        self.keys = keys
        self.texts = texts
    }

    /// The text of a member's value, without surrounding white space.
    package subscript(key: String) -> ArraySlice<UInt8>? { texts[Array(key.utf8)] }

    /// Parses the value of a member; nil if there is no such member.
    package func value(_ key: String) throws(JSONError) -> JSON? {
        guard let text = self[key] else { return nil }
        return try text.withUnsafeBufferPointer { buffer throws(JSONError) in try JSON.parse(buffer) }
    }
}

extension Parser {
    fileprivate mutating func skipValue() throws(JSONError) {
        var open: [UInt8] = []
        guard current == UInt8(ascii: "{") || current == UInt8(ascii: "[") else {
            _ = try value()
            return
        }
        repeat {
            guard let byte = current else { throw error("unexpected end of the JSON text") }
            switch byte {
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard open.count < remainingDepth else { throw error("JSON is nested too deeply") }
                open.append(byte)
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // In ASCII, a closing bracket's code is that of its opening one plus 2.
                guard open.popLast().map({ $0 + 2 }) == byte else { throw error("unexpected character in JSON") }
                position += 1
            default: position += 1
            }
        } while !open.isEmpty
    }

    private mutating func skipString() throws(JSONError) {
        let start = position
        position += 1
        while let byte = current, byte != UInt8(ascii: "\"") {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        guard current != nil else { throw error("unterminated string", at: start) }
        position += 1
    }
}
