import OrderedJSON
import Testing
import Tokenization

@Suite struct TokenTextTableTests {
    /// Covers byte-level vocabularies, distant added tokens, and `<0xHH>` tokens with a sequence of decoders.
    @Test(arguments: ["smollm", "qwen2", "llama3", "sentencepiece-like", "gpt2-prefixed", "unigram-bytes"])
    func agreesWithTheTokenizer(name: String) throws {
        let json = try Fixture.bytes("\(name).tokenizer.json")
        let tokenizer = try Tokenizer(json: json)
        let texts = try TokenTextTable(JSONMembers(json[...]))
        #expect(texts.vocabularySize == tokenizer.vocabularySize)
        #expect(texts.addedTokens == tokenizer.addedTokens)
        var known = 0
        for id in -1...tokenizer.vocabularySize {
            // `decode` returns the normalized text of an added token with `normalized`, the table its original text.
            let added = tokenizer.addedTokens.first { $0.id == id }?.content
            let expected = added ?? (tokenizer.token(of: id) == nil ? nil : tokenizer.text(of: id))
            #expect(texts.text(of: id) == expected)
            known += expected == nil ? 0 : 1
        }
        #expect(known > 200)
    }

    @Test func missingVocabularyAndErrors() throws {
        let none = try TokenTextTable(JSONMembers(Array(#"{"model": {"type": "Unigram", "vocab": 5}}"#.utf8)[...]))
        #expect(none.vocabularySize == 0)
        #expect(none.text(of: 0) == nil)
        #expect(throws: TokenizerError.self) {
            try TokenTextTable(JSONMembers(Array(#"{"model": {"vocab": {"a": 3000000}}}"#.utf8)[...]))
        }
        #expect(throws: TokenizerError.self) {
            try TokenTextTable(JSONMembers(Array(#"{"model": {"vocab": {"a": 1, "b": }}}"#.utf8)[...]))
        }
    }
}
