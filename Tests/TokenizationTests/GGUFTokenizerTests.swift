import CheckpointIO
import Foundation
import OrderedJSON
import Testing
import Tokenization

/// Compares tokenizers of GGUF files, written with the `gguf` package, with their Hugging Face originals.
@Suite("Tokenizers of GGUF files")
struct GGUFTokenizerTests {
    static let names = ["smollm", "qwen2", "deepseek-r1-qwen", "llama-bpe"]

    private func opened(_ name: String) throws -> (tokenizer: Tokenizer, expected: JSON) {
        let record = try ModelImport.open(path: Fixture.path("\(name).gguf")).metadata.tokenizer
        let all = try Fixture.json("gguf-tokenizers.json")["tokenizers"]?.array ?? []
        return (
            try Tokenizer(json: try #require(record).json),
            try #require(all.first { $0["name"]?.string == name })
        )
    }

    @Test("Same ids", arguments: names)
    func ids(_ name: String) throws {
        let (tokenizer, expected) = try opened(name)
        let texts = (try Fixture.json("tokenizers.json")["texts"]?.array ?? []).compactMap(\.string)
        let ids = (expected["ids"]?.array ?? []).map(\.ids)
        #expect(ids.count == texts.count && texts.count > 50)
        for (text, wanted) in zip(texts, ids) {
            #expect(tokenizer.encode(text) == wanted, "\(text.debugDescription)")
        }
        #expect(tokenizer.encode("fox<think>", addSpecialTokens: true) == expected["special"]?.ids)
    }

    @Test("Same added tokens, without padding", arguments: names)
    func addedTokens(_ name: String) throws {
        let (tokenizer, expected) = try opened(name)
        let wanted = try #require(expected["added"]?.array).compactMap(\.array)
        #expect(tokenizer.addedTokens.map(\.id) == wanted.map { $0[0].int })
        #expect(tokenizer.addedTokens.map(\.content) == wanted.map { $0[1].string })
        #expect(tokenizer.addedTokens.map(\.special) == wanted.map { $0[2].bool })
        let last = try #require(wanted.last?.first?.int)
        #expect(tokenizer.id(of: "[PAD\(last + 1)]") == nil)
    }
}
