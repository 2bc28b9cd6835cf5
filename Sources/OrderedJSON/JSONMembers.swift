/// The members of a JSON object as they are written, without what is in them being read: two large texts that differ in
/// one member need only that one parsed.
public struct JSONMembers: Sendable {
    /// In the order of the text.
    public let keys: [String]
    /// By the bytes of the key: strings that only look alike are equal to Swift.
    private let texts: [[UInt8]: ArraySlice<UInt8>]

    /// Strings and brackets are followed and nothing else is checked inside a member; `JSON.parse` of it does that.
    ///
    /// - Throws: `JSONError` where the text is no object, a bracket or a string is not closed, a key comes twice or
    ///   something follows the object.
    public init(_ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var keys: [String] = []
        var texts: [[UInt8]: ArraySlice<UInt8>] = [:]
        try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
            var parser = Parser(bytes: buffer, remainingDepth: 128)
            try parser.members { key, range in
                keys.append(key)
                let start = bytes.startIndex + range.lowerBound
                return texts.updateValue(bytes[start..<start + range.count], forKey: Array(key.utf8)) == nil
            }
        }
        self.keys = keys
        self.texts = texts
    }

    /// The text of a member's value, without white space around it.
    public subscript(key: String) -> ArraySlice<UInt8>? { texts[Array(key.utf8)] }

    /// The value of a member; nil where there is no such member.
    public func value(_ key: String) throws(JSONError) -> JSON? {
        guard let text = self[key] else { return nil }
        return try text.withUnsafeBufferPointer { buffer throws(JSONError) in try JSON.parse(buffer) }
    }
}

extension Parser {
    /// - Parameter take: gets key and place of each value; false says that the key was there before.
    fileprivate mutating func members(_ take: (String, Range<Int>) -> Bool) throws(JSONError) {
        skipWhitespace()
        guard current == UInt8(ascii: "{") else { throw error("expected an object") }
        position += 1
        skipWhitespace()
        if current == UInt8(ascii: "}") {
            position += 1
        } else {
            var isLast = false
            while !isLast {
                skipWhitespace()
                let keyOffset = position
                guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotation marks") }
                let key = try string()
                skipWhitespace()
                guard current == UInt8(ascii: ":") else { throw error("expected ':' after a key") }
                position += 1
                skipWhitespace()
                let start = position
                try skipValue()
                guard take(key, start..<position) else { throw error("duplicate key", at: keyOffset) }
                skipWhitespace()
                isLast = current == UInt8(ascii: "}")
                guard isLast || current == UInt8(ascii: ",") else { throw error("expected ',' or '}' in an object") }
                position += 1
            }
        }
        skipWhitespace()
        guard position == bytes.count else { throw error("unexpected text after the JSON value") }
    }

    private mutating func skipValue() throws(JSONError) {
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
                // In ASCII each closing bracket is two after its opening one.
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
