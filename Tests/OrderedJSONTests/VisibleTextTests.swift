import OrderedJSON
import Testing

/// Characters that a terminal does not print in place are escaped.
@Suite struct VisibleTextTests {
    static let hidden: [Unicode.Scalar] = [
        "\u{0}", "\u{7}", "\u{8}", "\r", "\u{1B}", "\u{7F}", "\u{80}", "\u{9B}", "\u{61C}", "\u{200E}", "\u{200F}",
        "\u{2028}", "\u{2029}", "\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}", "\u{FEFF}", "\u{E000}",
        "\u{E0041}",
    ]

    @Test(arguments: hidden) func hiddenCharacters(scalar: Unicode.Scalar) throws {
        let text = "a\(scalar)b"
        let expected = "a\\u{\(String(scalar.value, radix: 16))}b"
        #expect(text.onOneLine() == expected)
        #expect(text.onLines() == expected)
        #expect(JSON.object(JSONObject([(text, .array([.string(text)]))])).onLines.object?[expected] != nil)
        let json = JSON.string(text).serializedVisibly(indent: nil)
        #expect(json.unicodeScalars.allSatisfy(\.isPlain), "\(json)")
        #expect(try JSON.parse(Array(json.utf8)) == .string(text))
    }

    @Test func plainTextIsUnchanged() {
        let lines = "a\tb\n\n é 漢字 👩\u{200D}👧 – » « ⏎ … \u{A0}|"
        #expect(lines.onLines() == lines)
        #expect("a\nb".onOneLine() == "a\\u{a}b")
        #expect("a\r\nb".onLines() == "a\\u{d}\nb")
        #expect("abcdef".onOneLine(limit: 3) == "abc…")
        #expect("a\u{1}b\u{2}".onLines(replacing: ["\u{1}": "\u{1B}[1m"]) == "a\u{1B}[1mb\\u{2}")
    }
}
