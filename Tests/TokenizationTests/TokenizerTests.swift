import OrderedJSON
import Testing
import Tokenization

@Suite("Tokenizer")
struct TokenizerTests {
    /// A byte-level tokenizer.json with textual replacements.
    static func bytes(_ changes: [(String, String)] = [], special: [String] = []) throws -> [UInt8] {
        var text = String(
            decoding: ByteLevelTokenizer.makeJSON(specialTokens: special, alphabet: nil), as: UTF8.self)
        for (old, new) in changes {
            let parts = text.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
            try #require(parts.count == 2, "\(old)")
            text = parts.joined(separator: new)
        }
        return Array(text.utf8)
    }

    @Test("Looks up tokens")
    func lookUp() throws {
        let tokenizer = try Tokenizer(json: try Fixture.bytes("qwen2.tokenizer.json"))
        let think = try #require(tokenizer.id(of: "<think>"))
        #expect(tokenizer.token(of: think) == "<think>")
        #expect(tokenizer.id(of: "no such token") == nil)
        #expect(tokenizer.token(of: -1) == nil)
        #expect(tokenizer.token(of: tokenizer.vocabularySize) == nil)
        #expect(tokenizer.token(of: tokenizer.vocabularySize - 1) != nil)
        let added = try #require(tokenizer.addedTokens.first { $0.id == think })
        #expect(added == AddedToken(id: think, content: "<think>", special: false))
        #expect(tokenizer.addedTokens.map(\.id) == tokenizer.addedTokens.map(\.id).sorted())
    }

    @Test(
        "Steps that multiply the length of a text are refused on loading",
        arguments: [
            (#""normalizer": null"#, #""normalizer": {"type": "Sequence", "normalizers": [STEPS]}"#),
            (#""decoder": {"#, #""decoder": {"type": "Sequence", "decoders": [STEPS]}, "then": {"#),
        ])
    func growth(old: String, new: String) throws {
        let doubling = #"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#
        let inserting = #"{"type": "Replace", "pattern": {"Regex": "x*"}, "content": "12345678901234567890"}"#
        let before = inserting.replacing("x*", with: "(?=xyz)")
        for (step, count) in [(doubling, 10), (doubling, 40), (inserting, 3), (before, 3)] {
            let steps = [String](repeating: step, count: count).joined(separator: ", ")
            let json = try Self.bytes([(old, new.replacing("STEPS", with: steps))])
            let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
            let message = try #require(error).description
            #expect(message.contains("100 times as long"))
        }
    }

    @Test("Untrusted text never yields an added token", arguments: ["qwen2", "llama3", "smollm", "gpt2-prefixed"])
    func plainText(_ name: String) throws {
        let tokenizer = try Tokenizer(json: try Fixture.bytes("\(name).tokenizer.json"))
        let added = Set(tokenizer.addedTokens.map(\.id))
        let text = tokenizer.addedTokens.map(\.content).joined(separator: " x")
        #expect(!added.isDisjoint(with: tokenizer.encode(text)))
        let ids = tokenizer.encode(text, parsingAddedTokens: false)
        #expect(added.isDisjoint(with: ids))
        #expect(!tokenizer.decode(ids).isEmpty)
    }

    @Test("Untrusted text never yields an added token by merges or a vocabulary look-up")
    func plainTextByMerges() throws {
        for ignoresMerges in ["true", "false"] {
            let json = try Self.bytes(
                [
                    ("\"merges\": []", "\"merges\": [\"a b\", \"ab c\"]"),
                    ("\"!\": ", "\"ab\": 256, \"abc\": 257, \"!\": "),
                    ("\"ignore_merges\": false", "\"ignore_merges\": \(ignoresMerges)"),
                    (
                        "\"added_tokens\": []",
                        "\"added_tokens\": [{\"id\": 257, \"content\": \"abc\", \"special\": true, \"normalized\": false}]"
                    ),
                ])
            let tokenizer = try Tokenizer(json: json)
            #expect(tokenizer.encode("abc") == [257])
            let c = try #require(tokenizer.id(of: "c"))
            #expect(tokenizer.encode("abc", parsingAddedTokens: false) == [256, c])
        }
    }

    @Test("The streaming decoder never emits part of a character")
    func streaming() throws {
        let tokenizer = try Tokenizer(json: ByteLevelTokenizer.makeJSON(specialTokens: ["<end>"], alphabet: nil))
        let text = "aé狐👩‍👩‍👧<end>\u{0301}z"
        var stream = tokenizer.streamingDecoder(skippingSpecialTokens: true)
        var result = ""
        for id in tokenizer.encode(text) {
            let part = stream.append(id)
            #expect(!part.unicodeScalars.contains("\u{FFFD}"))
            result += part
        }
        #expect(result + stream.finish() == "aé狐👩‍👩‍👧\u{0301}z")
        // The ids end in the middle of a character.
        _ = stream.append(tokenizer.encode("狐")[0])
        #expect(stream.finish() == "\u{FFFD}")
        #expect(stream.finish() == "")
    }

    @Test(
        "Unsupported members are rejected by name",
        arguments: [
            ("\"normalizer\": null", "\"normalizer\": {\"type\": \"Nmt\"}", "normalizer: the normalizer \"Nmt\""),
            (
                "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\", \"x\": 1}", "normalizer: the member \"x\""
            ),
            ("\"type\": \"BPE\"", "\"type\": \"WordPiece\"", "model: a model of type \"WordPiece\""),
            ("\"dropout\": null", "\"dropout\": 0.1", "model: dropout"),
            ("\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"</w>\"", "model: a end_of_word_suffix"),
            (
                "\"pre_tokenizer\": {\n    \"type\": \"ByteLevel\"",
                "\"pre_tokenizer\": {\n    \"type\": \"BertPreTokenizer\"",
                "pre_tokenizer: the pre-tokenizer \"BertPreTokenizer\""
            ),
            ("\"decoder\": {\n    \"type\": \"ByteLevel\"", "\"decoder\": {\n    \"type\": \"CTC\"", "decoder \"CTC\""),
            (
                "\"post_processor\": null", "\"post_processor\": {\"type\": \"RobertaProcessing\"}",
                "post_processor: the post-processor \"RobertaProcessing\""
            ),
            ("\"version\": \"1.0\"", "\"version\": \"1.0\", \"extra\": 1", "the file: the member \"extra\""),
        ])
    func unsupported(_ old: String, _ new: String, _ message: String) throws {
        let json = try Self.bytes([(old, new)])
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
        #expect(error?.description.contains(message) ?? false, "\(String(describing: error))")
        #expect(error?.description.contains("\n") == false)
    }

    @Test(
        "Malformed members are rejected with their place",
        arguments: [
            ("\"!\": 33", "\"!\": 34", "model.vocab"), ("\"!\": 33", "\"!\": -1", "model.vocab"),
            ("\"!\": 33", "\"!\": 99999999999", "model.vocab"), ("\"!\": 33", "\"!\": 4000000", "model.vocab"),
            ("\"merges\": []", "\"merges\": [\"a\"]", "model.merges[0]"),
            ("\"merges\": []", "\"merges\": [\"a b\"]", "model.merges[0]"),
            ("\"merges\": []", "\"merges\": [[\"a\", 1]]", "model.merges[0]"),
            ("\"unk_token\": null", "\"unk_token\": \"<unk>\"", "model.unk_token"),
            (
                "\"normalizer\": null",
                "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(\"}, \"content\": \"\"}",
                "normalizer.pattern"
            ),
            (
                "\"normalizer\": null",
                "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(?<a>b)\"}, \"content\": \"\"}",
                "the group \"(?<a>\""
            ),
            ("\"added_tokens\": []", "\"added_tokens\": [{\"id\": 0, \"content\": \"x\"}]", "added_tokens"),
            ("\"added_tokens\": []", "\"added_tokens\": [{\"id\": 300, \"content\": \"\"}]", "added_tokens[0]"),
            (
                "\"added_tokens\": []",
                "\"added_tokens\": [{\"id\": 300, \"content\": \"x\"}]", "added_tokens"
            ),
        ])
    func malformed(_ old: String, _ new: String, _ place: String) throws {
        // "!" has id 33, its byte.
        let json = try Self.bytes([(old, new)])
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
        #expect(error?.description.contains(place) ?? false, "\(String(describing: error))")
    }

    @Test("Invalid JSON is rejected")
    func notJSON() {
        #expect(throws: TokenizerError.self) { try Tokenizer(json: Array("{".utf8)) }
        #expect(throws: TokenizerError.self) { try Tokenizer(json: Array("[]".utf8)) }
        #expect(throws: TokenizerError.self) { try Tokenizer(json: []) }
    }

    @Test("A pattern with catastrophic backtracking terminates")
    func hostilePattern() throws {
        var root = try JSON.parse(try Self.bytes())
        root["pre_tokenizer"] = [
            "type": "Sequence",
            "pretokenizers": [
                ["type": "Split", "behavior": "Isolated", "pattern": ["Regex": "(a+)+(b+)+c"], "invert": false],
                ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
            ],
        ]
        let tokenizer = try Tokenizer(json: Array(root.serialized().utf8))
        let text = String(repeating: "a", count: 100_000) + "b"
        let start = ContinuousClock.now
        #expect(tokenizer.encode(text).count == text.utf8.count)
        #expect(ContinuousClock.now - start < .seconds(30))
    }
}
