import OrderedJSON
import Testing

@Suite struct JSONTests {
    @Test func roundTripKeepsOrderAndNumberText() throws {
        let text = #"{"z":1e-05,"a":[true,null,"\u0041\n😀",-0.50],"m":{}}"#
        let value = try JSON.parse(text)
        #expect(value.serialized() == #"{"z":1e-05,"a":[true,null,"A\n😀",-0.50],"m":{}}"#)
        #expect(value["z"]?.double == 1e-05)
        #expect(value["a"]?.array?[2].string == "A\n😀")
        #expect(try JSON.parse(value.serialized(indent: 2)) == value)
    }

    @Test func surrogatePairsDecode() throws {
        #expect(try JSON.parse(#""\ud83d\ude00""#).string == "😀")
    }

    @Test(arguments: [
        (#"{"a":1,"a":2}"#, "duplicate key \"a\" at line 1, column 8"),
        ("[1,]", "unexpected character in JSON at line 1, column 4"),
        ("[01]", "malformed number at line 1, column 2"),
        ("{\n\"a\" 1}", "expected ':' after a key at line 2, column 5"),
        ("\"\\ud800\"", "lone surrogate in a string at line 1, column 2"),
        ("1 2", "unexpected text after the JSON value at line 1, column 3"),
        ("\"abc", "unterminated string at line 1, column 1"),
        ("", "unexpected end of the JSON text at line 1, column 1"),
        ("nul", "unexpected end of the JSON text at line 1, column 1"),
    ])
    func refusals(text: String, message: String) {
        #expect { try JSON.parse(text) } throws: { "\($0)" == message }
    }

    @Test func invalidUTF8IsRefused() {
        #expect(throws: JSONError.self) { try JSON.parse([0x22, 0xFF, 0x22]) }
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 1_000_000)
        #expect { try JSON.parse(deep) } throws: { "\($0)".hasPrefix("JSON is nested too deeply") }
    }

    @Test func canonicallyEquivalentKeysAreDistinct() throws {
        let value = try JSON.parse("{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{E9}"]?.int == 1)
        #expect(value["e\u{301}"]?.int == 2)
    }

    @Test func editingKeepsTheRest() throws {
        var value = try JSON.parse(#"{"b":1,"a":2}"#)
        value["b"] = 3
        value["c"] = ["x"]
        value["a"] = nil
        #expect(value.serialized() == #"{"b":3,"c":["x"]}"#)
    }

    @Test func doublesReadBackToTheSameBits() throws {
        for value in [0.1, 1e-300, 3, -2.5, 123_456_789.123, 1e22] {
            #expect(try JSON.parse(JSON.double(value).serialized()).double == value)
        }
        #expect(JSON.double(.nan) == .null)
    }

    @Test func membersKeepTheirText() throws {
        let text = #" { "a" : [1, "]}\"", {"b": []}] ,"\u0062":-0.50, "X": {}, "Y":"x" } "#
            .replacing("X", with: "\u{E9}").replacing("Y", with: "e\u{301}")
        let bytes = Array(text.utf8)
        // The slice does not start at index 0.
        let members = try JSONMembers(([0] + bytes)[1...])
        #expect(members.keys == ["a", "b", "\u{E9}", "e\u{301}"])
        #expect(members["a"].map { String(decoding: $0, as: UTF8.self) } == #"[1, "]}\"", {"b": []}]"#)
        #expect(members["b"].map { String(decoding: $0, as: UTF8.self) } == "-0.50")
        #expect(try members.value("\u{E9}") == .object(JSONObject()))
        #expect(try members.value("e\u{301}")?.string == "x")
        #expect(try members.value("c") == nil)
        let whole = try JSON.parse(bytes)
        for key in members.keys { #expect(try members.value(key) == whole[key]) }
        #expect(try JSONMembers(Array("{}".utf8)[...]).keys.isEmpty)
    }

    @Test(arguments: [
        ("[1]", "expected an object at line 1, column 1"),
        (#"{"a":1,"a":2}"#, "duplicate key \"a\" at line 1, column 8"),
        (#"{"a":[}]}"#, "unexpected character in JSON at line 1, column 7"),
        (#"{"a":["b"#, "unterminated string at line 1, column 7"),
        (#"{"a":["b\"#, "unterminated string at line 1, column 7"),
        (#"{"a":[1"#, "unexpected end of the JSON text at line 1, column 8"),
        (#"{"a":1} 2"#, "unexpected text after the JSON value at line 1, column 9"),
        (#"{"a":1 2}"#, "expected ',' or '}' in an object at line 1, column 8"),
        (#"{"a":1,}"#, "expected a key in quotation marks at line 1, column 8"),
    ])
    func membersRefuse(text: String, message: String) {
        #expect { try JSONMembers(Array(text.utf8)[...]) } throws: { "\($0)" == message }
    }

    @Test func depthOfMembersIsBounded() {
        let deep = #"{"a":"# + String(repeating: "[", count: 1_000_000)
        #expect {
            try JSONMembers(Array(deep.utf8)[...])
        } throws: {
            "\($0)".hasPrefix("JSON is nested too deeply")
        }
    }
}
