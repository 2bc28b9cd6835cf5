extension JSON {
    /// Serializes the value with keys in order and numbers as written.
    ///
    /// - Parameter indent: spaces per level; nil for one line without spaces between tokens.
    /// - Returns: the JSON text.
    public func serialized(indent: Int? = nil) -> String {
        var output: [UInt8] = []
        write(to: &output, indent: indent, level: 0)
        return String(decoding: output, as: UTF8.self)
    }

    private func write(to output: inout [UInt8], indent: Int?, level: Int) {
        switch self {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let literal): output.append(contentsOf: literal.utf8)
        case .string(let value): Self.write(value, to: &output)
        case .array(let elements):
            Self.write(
                elements, open: "[", close: "]", to: &output, indent: indent, level: level
            ) { element, output in
                element.write(to: &output, indent: indent, level: level + 1)
            }
        case .object(let members):
            Self.write(
                members, open: "{", close: "}", to: &output, indent: indent, level: level
            ) { member, output in
                Self.write(member.key, to: &output)
                output.append(UInt8(ascii: ":"))
                if indent != nil { output.append(UInt8(ascii: " ")) }
                member.value.write(to: &output, indent: indent, level: level + 1)
            }
        }
    }

    private static func write<Elements: Sequence>(
        _ elements: Elements, open: Unicode.Scalar, close: Unicode.Scalar, to output: inout [UInt8],
        indent: Int?, level: Int, body: (Elements.Element, inout [UInt8]) -> Void
    ) {
        output.append(UInt8(ascii: open))
        var isEmpty = true
        for element in elements {
            if !isEmpty { output.append(UInt8(ascii: ",")) }
            breakLine(&output, indent: indent, level: level + 1)
            body(element, &output)
            isEmpty = false
        }
        if !isEmpty { breakLine(&output, indent: indent, level: level) }
        output.append(UInt8(ascii: close))
    }

    private static func breakLine(_ output: inout [UInt8], indent: Int?, level: Int) {
        guard let indent else { return }
        output.append(UInt8(ascii: "\n"))
        output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * level))
    }

    private static func write(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            // Runs of bytes that need no escape are appended at once.
            var start = 0
            for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
                output.append(contentsOf: bytes[start..<index])
                appendEscape(byte, to: &output)
                start = index + 1
            }
            output.append(contentsOf: bytes[start...])
        }
        output.append(UInt8(ascii: "\""))
    }

    private static func appendEscape(_ byte: UInt8, to output: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): output.append(contentsOf: #"\""#.utf8)
        case UInt8(ascii: "\\"): output.append(contentsOf: #"\\"#.utf8)
        case 0x0A: output.append(contentsOf: #"\n"#.utf8)
        case 0x0D: output.append(contentsOf: #"\r"#.utf8)
        case 0x09: output.append(contentsOf: #"\t"#.utf8)
        default:
            let hexadecimal = Array("0123456789abcdef".utf8)
            output.append(contentsOf: #"\u00"#.utf8)
            output.append(hexadecimal[Int(byte >> 4)])
            output.append(hexadecimal[Int(byte & 15)])
        }
    }
}
