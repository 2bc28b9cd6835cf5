/// Builds a string in linear time; appending a sequence to a `String.UnicodeScalarView` copies all of it.
package struct TextBuffer {
    private var bytes: [UInt8] = []

    package init() {}

    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ scalar: Unicode.Scalar) {
        if scalar.value < 0x80 {
            bytes.append(UInt8(scalar.value))
        } else {
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }
}
