import OrderedJSON
import Testing
import Tokenization

@Suite("Tokenizer editor")
struct TokenizerEditorTests {
    @Test("Without edits the bytes are unchanged", arguments: ["qwen2", "llama3", "sentencepiece-like"])
    func unchanged(_ name: String) throws {
        let json = try Fixture.bytes("\(name).tokenizer.json")
        #expect(try TokenizerEditor(json: json).json == json)
    }

    @Test("Adds tokens at the end", arguments: ["qwen2", "llama3", "smollm"])
    func add(_ name: String) throws {
        let before = try Tokenizer(json: try Fixture.bytes("\(name).tokenizer.json"))
        var editor = try TokenizerEditor(json: try Fixture.bytes("\(name).tokenizer.json"))
        let id = editor.nextID
        #expect(id == before.vocabularySize)
        let token = AddedToken(id: id, content: "<new>", special: true)
        try editor.add(token)
        #expect(editor.nextID == id + 1)
        let after = try Tokenizer(json: editor.json)
        #expect(after.encode("a<new>b") == before.encode("a") + [id] + before.encode("b"))
        #expect(after.addedTokens == before.addedTokens + [token])
        #expect(after.decode([id]) == "<new>" && after.decode([id], skippingSpecialTokens: true) == "")
    }

    @Test("Keeps the rest of the file and its order")
    func order() throws {
        let json = try Fixture.bytes("llama3.tokenizer.json")
        var editor = try TokenizerEditor(json: json)
        try editor.add(AddedToken(id: editor.nextID, content: "<new>"))
        let before = try JSON.parse(json)
        let after = try JSON.parse(editor.json)
        #expect(after.object?.keys == before.object?.keys)
        #expect(after["model"] == before["model"])
        #expect(after["model"]?["vocab"]?.object?.keys == before["model"]?["vocab"]?.object?.keys)
        #expect(after["added_tokens"]?.array?.dropLast() == before["added_tokens"]?.array?[...])
    }

    @Test("Makes a token of the vocabulary an added token with the same id")
    func existing() throws {
        var editor = try TokenizerEditor(json: try Fixture.bytes("smollm.tokenizer.json"))
        let before = try Tokenizer(json: editor.json)
        let words = (0..<before.vocabularySize).compactMap { before.token(of: $0) }
        let word = try #require(words.last { $0.utf8.count > 2 && $0.utf8.allSatisfy { $0 >= 0x61 && $0 <= 0x7A } })
        let id = try #require(before.id(of: word))
        #expect(throws: TokenizerError.self) { try editor.add(AddedToken(id: editor.nextID, content: word)) }
        try editor.add(AddedToken(id: id, content: word))
        #expect(try Tokenizer(json: editor.json).encode("x\(word)x").contains(id))
    }

    @Test("Rejects ids that the library would change, and existing tokens")
    func refusals() throws {
        var editor = try TokenizerEditor(json: try Fixture.bytes("qwen2.tokenizer.json"))
        let json = editor.json
        for token in [
            AddedToken(id: editor.nextID + 1, content: "<new>"), AddedToken(id: 0, content: "<new>"),
            AddedToken(id: editor.nextID, content: "<think>"), AddedToken(id: editor.nextID, content: ""),
        ] {
            #expect(throws: TokenizerError.self) { try editor.add(token) }
        }
        #expect(throws: TokenizerError.self) { try editor.rename("<none>", to: "<x>") }
        #expect(throws: TokenizerError.self) { try editor.rename("<think>", to: "</think>") }
        #expect(throws: TokenizerError.self) { try editor.rename("<think>", to: "a") }
        #expect(editor.json == json)
    }

    @Test("Renames a token everywhere in the file")
    func rename() throws {
        var editor = try TokenizerEditor(json: try Fixture.bytes("llama3.tokenizer.json"))
        let before = try Tokenizer(json: editor.json)
        let id = try #require(before.id(of: "<|begin_of_text|>"))
        try editor.rename("<|begin_of_text|>", to: "<begin>")
        let after = try Tokenizer(json: editor.json)
        #expect(after.id(of: "<begin>") == id && after.id(of: "<|begin_of_text|>") == nil)
        #expect(after.encode("fox", addSpecialTokens: true) == before.encode("fox", addSpecialTokens: true))
        #expect(!String(decoding: editor.json, as: UTF8.self).contains("<|begin_of_text|>"))

        // A token that is also in the vocabulary.
        editor = try TokenizerEditor(json: try Fixture.bytes("smollm.tokenizer.json"))
        try editor.rename("<|im_start|>", to: "<short>")
        let renamed = try Tokenizer(json: editor.json)
        #expect(renamed.token(of: 1) == "<short>" && renamed.encode("<short>") == [1])
    }
}

@Suite("Byte-level tokenizer")
struct ByteLevelTokenizerTests {
    @Test("Encodes all UTF-8 text with one id per byte")
    func allBytes() throws {
        let tokenizer = try Tokenizer(json: ByteLevelTokenizer.makeJSON(specialTokens: ["<a>", "<b>"], alphabet: nil))
        #expect(tokenizer.vocabularySize == 258)
        let text = "a\nb\u{0}é狐👩‍👩‍👧 \u{7f}"
        #expect(tokenizer.encode(text) == text.utf8.map(Int.init))
        #expect(tokenizer.decode(text.utf8.map(Int.init)) == text)
        #expect(tokenizer.encode("x<b><a>") == [120, 257, 256])
    }

    @Test("Encodes only the given characters and the newline")
    func alphabet() throws {
        let tokenizer = try Tokenizer(
            json: ByteLevelTokenizer.makeJSON(
                specialTokens: ["<eos>", "<think>", "<eos>", "", "7"], alphabet: "0123456789+= é"))
        #expect(tokenizer.vocabularySize == 13 + 2 + 1 + 2)
        #expect(tokenizer.addedTokens.map(\.content) == ["7", "<eos>", "<think>"])
        let text = "12+30=42\n é<think>7<eos>"
        #expect(tokenizer.decode(tokenizer.encode(text)) == text)
        #expect(tokenizer.encode("\n").count == 1)
        #expect(tokenizer.decode(tokenizer.encode("1x2")) == "12")
    }
}
