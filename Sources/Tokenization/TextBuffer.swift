/// Builds a text piece by piece in linear time. (Appending a sequence to a `String.UnicodeScalarView` copies all of it.)
struct TextBuffer {
    private var bytes: [UInt8] = []

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ scalar: Unicode.Scalar) {
        if scalar.value < 0x80 {
            bytes.append(UInt8(scalar.value))
        } else {
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}
