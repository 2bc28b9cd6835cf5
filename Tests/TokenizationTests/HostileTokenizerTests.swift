import OrderedJSON
import Testing
import Tokenization

@Suite("Hostile tokenizers")
struct HostileTokenizerTests {
    /// A byte-level tokenizer with a pattern before the bytes.
    private static func splitting(at pattern: String) throws -> Tokenizer {
        let step: JSON = [
            "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false,
        ]
        return try changed { root in
            let last = root["pre_tokenizer"] ?? .null
            root["pre_tokenizer"] = ["type": "Sequence", "pretokenizers": .array([step, last])]
        }
    }

    private static func changed(_ edit: (inout JSON) -> Void) throws -> Tokenizer {
        var root = try JSON.parse(try TokenizerTests.bytes())
        edit(&root)
        return try Tokenizer(json: Array(root.serialized().utf8))
    }

    private static func added(_ contents: some Sequence<String>) -> JSON {
        .array(
            contents.enumerated().map { index, content in
                ["id": .integer(1000 + index), "content": .string(content), "normalized": false]
            })
    }

    @Test(
        "A pattern of more than linear time is reported by name",
        arguments: ["a+[bc]", "(?:a*a*)*[bc]", "(?:a|aa)+[bc]", "(?=a*[bc])a"])
    func backtracking(_ pattern: String) throws {
        let tokenizer = try Self.splitting(at: pattern)
        _ = tokenizer.encode("aab" + String(repeating: "x", count: 100))
        try tokenizer.checkPatterns()
        _ = tokenizer.encode(String(repeating: "a", count: 300_000))
        let error = #expect(throws: TokenizerError.self) { try tokenizer.checkPatterns() }
        let message = try #require(error).description
        #expect(message.contains("pre_tokenizer") && message.contains(pattern))
    }

    @Test(
        "Patterns of published tokenizers stay within their steps",
        arguments: [
            #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'ll)?|"#
                + #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'ll)?|"#
                + #"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            #"[\p{P}\$\+<=>\^~\|]+"#, #"'s| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#,
        ])
    func published(_ pattern: String) throws {
        let tokenizer = try Self.splitting(at: pattern)
        for text in ["a", " ", "中文", "7", "the end, ", "A", "\n "] {
            _ = tokenizer.encode(String(repeating: text, count: 20_000))
        }
        try tokenizer.checkPatterns()
    }

    @Test("A word of many bytes is merged in n log n")
    func longWord() throws {
        let tokenizer = try Self.changed { root in
            var next = 256
            for length in 2...64 {
                root["model"]?["vocab"]?[String(repeating: "a", count: length)] = .integer(next)
                next += 1
            }
            root["model"]?["merges"] = .array((1...63).map { .string(String(repeating: "a", count: $0) + " a") })
        }
        let text = String(repeating: "a", count: 300_000)
        let ids = tokenizer.encode(text)
        #expect(tokenizer.decode(ids) == text)
        #expect(ids.count == text.utf8.count / 2)
    }

    @Test("Added tokens that begin one another, and surround themselves with spaces, are found in linear time")
    func prefixes() throws {
        let longest = 512
        var contents = (1..<longest).map { String(repeating: "a", count: $0) + "b" }
        contents.append(String(repeating: "a", count: longest))
        let tokenizer = try Self.changed { root in root["added_tokens"] = Self.added(contents) }
        let ids = tokenizer.encode(String(repeating: "a", count: 100 * longest))
        #expect(ids == [Int](repeating: 1000 + contents.count - 1, count: 100))

        // Searching for spaces before each token must not go beyond the token before it.
        let spaces = try Self.changed { root in
            root["added_tokens"] = [
                ["id": 1000, "content": " ", "lstrip": true, "normalized": false] as JSON
            ]
        }
        #expect(spaces.encode(String(repeating: " ", count: 300_000)).count == 300_000)
    }

    @Test("Too many or too long added tokens, and too many steps, are refused")
    func refused() throws {
        let many = Self.added((0...(1 << 18)).map { "<\($0)>" })
        let long = Self.added((0..<(9 << 10)).map { String(repeating: "x", count: 480) + "\($0)" })
        let step: JSON = ["type": "Replace", "pattern": ["String": "a"], "content": "a"]
        let steps = JSON.array([JSON](repeating: step, count: 65))
        let cases: [(String, JSON, String)] = [
            ("added_tokens", many, "at most 262144"), ("added_tokens", long, "4194304 bytes together"),
            ("added_tokens", Self.added([String(repeating: "x", count: 513)]), "over 512 bytes"),
            ("normalizer", ["type": "Sequence", "normalizers": steps], "more than 64 steps"),
        ]
        for (member, value, reason) in cases {
            let error = #expect(throws: TokenizerError.self) { try Self.changed { $0[member] = value } }
            let message = try #require(error).description
            #expect(message.contains(reason), "\(message)")
        }
    }

    @Test("A strip decoder may have any count")
    func strip() throws {
        let tokenizer = try Self.changed { root in
            let last = root["decoder"] ?? .null
            let strip: JSON = ["type": "Strip", "content": "a", "start": .integer(.max), "stop": .integer(.max)]
            root["decoder"] = ["type": "Sequence", "decoders": .array([strip, strip, last])]
        }
        #expect(tokenizer.decode(tokenizer.encode("aba")) == "b")
    }
}
