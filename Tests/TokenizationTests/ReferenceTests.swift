import OrderedJSON
import Testing
import Tokenization

/// Compares ids and texts with the `tokenizers` library; the fixtures name its version.
@Suite("Equal to the tokenizers library")
struct ReferenceTests {
    static let names = [
        "smollm", "qwen2", "llama3", "gpt2-prefixed", "sentencepiece-like", "whitespace", "punctuation-contiguous",
        "punctuation-removed", "split-removed-plain", "split-removed-inverted", "split-isolated-plain",
        "split-isolated-inverted", "split-merged_with_previous-plain", "split-merged_with_previous-inverted",
        "split-merged_with_next-plain", "split-merged_with_next-inverted", "split-contiguous-plain",
        "split-contiguous-inverted", "split-literal", "metaspace-first", "metaspace-always", "metaspace-never",
        "gemma-like", "unigram-bytes", "unigram-precompiled", "unigram-words", "unigram-nfkc",
    ]

    struct Case {
        let texts: [String]
        let invalid: [[UInt8]]
        let long: [String]
        let expected: JSON
        let tokenizer: Tokenizer

        init(_ name: String) throws {
            let fixture = try Fixture.json("tokenizers.json")
            texts = (fixture["texts"]?.array ?? []).compactMap(\.string)
            invalid = (fixture["invalid"]?.array ?? []).map { $0.ids.map { UInt8($0) } }
            long = (fixture["long"]?.array ?? []).compactMap(\.string)
            let all = fixture["tokenizers"]?.array ?? []
            expected = try #require(all.first { $0["name"]?.string == name })
            tokenizer = try Tokenizer(json: try Fixture.bytes("\(name).tokenizer.json"))
        }
    }

    @Test("The fixture covers 20 scripts and all tokenizers")
    func coverage() throws {
        let fixture = try Fixture.json("tokenizers.json")
        #expect(try #require(fixture["scripts"]?.array).count >= 20)
        #expect(fixture["tokenizers"]?.array?.compactMap { $0["name"]?.string } == Self.names)
    }

    @Test("Encodes and decodes texts", arguments: names)
    func texts(_ name: String) throws {
        let fixture = try Case(name)
        let ids = try #require(fixture.expected["ids"]?.array)
        let decoded = try #require(fixture.expected["decoded"]?.array)
        let skipped = try #require(fixture.expected["skipped"]?.array)
        #expect(ids.count == fixture.texts.count)
        for (index, text) in fixture.texts.enumerated() {
            let wanted = ids[index].ids
            #expect(fixture.tokenizer.encode(text) == wanted, "\(text.debugDescription)")
            let whole = decoded[index].string ?? text
            #expect(Array(fixture.tokenizer.decode(wanted).utf8) == Array(whole.utf8), "\(text.debugDescription)")
            let visible = skipped[index].string ?? whole
            #expect(
                Array(fixture.tokenizer.decode(wanted, skippingSpecialTokens: true).utf8) == Array(visible.utf8),
                "\(text.debugDescription)")
        }
        #expect(fixture.tokenizer.encode("fox", addSpecialTokens: true) == fixture.expected["special"]?.ids)
    }

    @Test("Encodes invalid UTF-8", arguments: names)
    func invalid(_ name: String) throws {
        let fixture = try Case(name)
        for (bytes, wanted) in zip(fixture.invalid, try #require(fixture.expected["invalid"]?.array)) {
            #expect(fixture.tokenizer.encode(utf8: bytes) == wanted.ids, "\(bytes)")
        }
    }

    @Test("Decodes random ids at once and one by one", arguments: names)
    func anyIDs(_ name: String) throws {
        let fixture = try Case(name)
        let lists = (fixture.expected["random_ids"]?.array ?? []).map(\.ids)
        for (ids, wanted) in zip(lists, try #require(fixture.expected["random_decoded"]?.array)) {
            let whole = Array(try #require(wanted.string).utf8)
            #expect(Array(fixture.tokenizer.decode(ids).utf8) == whole)
            var stream = fixture.tokenizer.streamingDecoder(skippingSpecialTokens: false)
            let parts = ids.map { stream.append($0) } + [stream.finish()]
            #expect(parts.flatMap { Array($0.utf8) } == whole)
        }
    }

    @Test("Encodes lines of a megabyte", arguments: ["smollm", "qwen2", "llama3"])
    func longLines(_ name: String) throws {
        let fixture = try Case(name)
        for (unit, wanted) in zip(fixture.long, try #require(fixture.expected["long"]?.array)) {
            let count = (1_000_000 + unit.utf8.count - 1) / unit.utf8.count
            let ids = fixture.tokenizer.encode(String(repeating: unit, count: count))
            #expect(ids.count == wanted.array?.first?.int, "\(unit.debugDescription)")
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for id in ids { hash = (hash ^ UInt64(id)) &* 0x100_0000_01B3 }
            let text = String(hash, radix: 16)
            #expect(String(repeating: "0", count: 16 - text.count) + text == wanted.array?.last?.string)
        }
    }
}
