import CheckpointIO
import Foundation
import OrderedJSON
import Testing
import Tokenization

/// Compares SentencePiece models with `sentencepiece`, and SentencePiece tokenizers of GGUF files with llama.cpp.
@Suite("SentencePiece tokenizers")
struct SentencePieceTests {
    static let names = ["bpe.model", "unigram.model", "symbols.model", "llama.gguf", "t5.gguf"]

    private func tokenizer(_ name: String) throws -> Tokenizer {
        guard name.hasSuffix(".model") else {
            let record = try ModelImport.open(path: Fixture.path(name)).metadata.tokenizer
            return try Tokenizer(json: try #require(record).json)
        }
        return try Tokenizer(
            json: ModelImport.tokenizerJSON(sentencePieceModel: try Fixture.bytes(name), path: name))
    }

    @Test("Same ids", arguments: names)
    func ids(_ name: String) throws {
        let tokenizer = try tokenizer(name)
        let texts = (try Fixture.json("tokenizers.json")["texts"]?.array ?? []).compactMap(\.string)
        let all = try Fixture.json("sentencepiece-tokenizers.json")["tokenizers"]?.array ?? []
        let ids = all.first { $0["name"]?.string == name }?["ids"]?.array ?? []
        #expect(ids.count == texts.count && ids.count { !$0.isNull } > 50)
        for (text, wanted) in zip(texts, ids) where !wanted.isNull {
            // SentencePiece knows no control tokens in a text; llama.cpp does.
            let parses = name.hasSuffix(".gguf")
            #expect(tokenizer.encode(text, parsingAddedTokens: parses) == wanted.ids, "\(text.debugDescription)")
        }
    }

    /// As tokenizers 0.23 does: what follows a removed character is the start of the text, unless a space is kept.
    @Test("The start of a text after a removed character")
    func removedStart() throws {
        let tokenizer = try Tokenizer(json: try Fixture.bytes("unigram-words.tokenizer.json"))
        #expect(tokenizer.encode("\u{200B}the fox") == tokenizer.encode("the fox"))
        #expect(tokenizer.encode("\u{200B} the fox") == tokenizer.encode(" the fox"))
        #expect(tokenizer.encode(" the fox") != tokenizer.encode("the fox"))
    }

    /// As tokenizers 0.23 does: a mark that moves before those of the first character is not the start.
    @Test("The start of a text after marks that change places")
    func reorderedStart() throws {
        let whole = String(decoding: try Fixture.bytes("metaspace-first.tokenizer.json"), as: UTF8.self)
        let steps = #"{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Strip"}]}"#
        let tokenizer = try Tokenizer(
            json: Array(whole.replacing(#""normalizer":null"#, with: #""normalizer":"# + steps).utf8))
        #expect(tokenizer.encode("\u{385}\u{5B6}x") == [217, 185, 207, 139, 207, 132, 333])
        #expect(tokenizer.encode("\u{385}x") == [428, 207, 139, 207, 132, 333])
        #expect(tokenizer.encode("\u{5B6}x") == [428, 217, 185, 333])
    }

    /// SentencePiece's own table makes 33 bytes of 3; most models that it trains have it, with these rules for spaces.
    @Test("A published table with rules for spaces is within the limit of growth", arguments: ["▁", " "])
    func publishedNormalizer(_ space: String) throws {
        let phrase = "صلى الله عليه وسلم"
        let steps: JSON = .array([
            ["type": "Precompiled", "precompiled_charsmap": .string(Self.table(from: "ﷺ", to: phrase))],
            ["type": "Replace", "pattern": ["Regex": #"\A +| +\z"#], "content": ""],
            ["type": "Replace", "pattern": ["Regex": " {2,}"], "content": .string(space)],
            ["type": "Prepend", "prepend": "▁"],
            ["type": "Replace", "pattern": ["String": " "], "content": "▁"],
        ])
        let whole = try JSON.parse(try Fixture.bytes("metaspace-never.tokenizer.json"))
        var members = try #require(whole.object)
        members["normalizer"] = ["type": "Sequence", "normalizers": steps]
        let tokenizer = try Tokenizer(json: Array(JSON.object(members).serialized().utf8))
        #expect(tokenizer.encode("ﷺ") == tokenizer.encode(phrase))
        #expect(tokenizer.encode("ﷺ") != tokenizer.encode(""))
    }

    /// SentencePiece's table with one replacement, in base64.
    private static func table(from text: String, to replacement: String) -> String {
        var units = [UInt32](repeating: 0, count: 256 * (text.utf8.count + 2))
        // Each byte's node is in a block of its own, and the value in the last.
        var node = 0
        for (index, byte) in text.utf8.enumerated() {
            let next = 256 * (index + 1)
            units[node] |= UInt32(node ^ next) << 10
            node = next ^ Int(byte)
            units[node] = UInt32(byte)
        }
        units[node] |= UInt32(node ^ 256 * (text.utf8.count + 1)) << 10 | 1 << 8
        let bytes = ([UInt32(4 * units.count)] + units).flatMap { unit in
            (0..<4).map { UInt8(truncatingIfNeeded: unit >> UInt32(8 * $0)) }
        }
        return Data(bytes + replacement.utf8 + [0]).base64EncodedString()
    }

    @Test(
        "Parts of a text give the ids of the whole",
        arguments: ["metaspace-first", "metaspace-always", "metaspace-never", "sentencepiece-like", "unigram-bytes"])
    func positions(_ name: String) throws {
        let tokenizer = try Tokenizer(json: try Fixture.bytes("\(name).tokenizer.json"))
        let token = try #require(tokenizer.addedTokens.last { !$0.lstrip && !$0.normalized })
        let whole = tokenizer.encode("so\(token.content)the fox thinks")
        let parts =
            tokenizer.encode("so") + [token.id]
            + tokenizer.encode("the fox thinks", parsingAddedTokens: false, position: .afterAddedToken)
        #expect(parts == whole)
        #expect(tokenizer.decode(tokenizer.encode("fox", position: .afterText)) == "fox")
    }

    @Test("The text of a token keeps its space")
    func tokenText() throws {
        let tokenizer = try Tokenizer(json: try Fixture.bytes("metaspace-first.tokenizer.json"))
        let ids = tokenizer.encode("the fox")
        #expect(ids.map { tokenizer.text(of: $0) }.joined() == " the fox")
        #expect(tokenizer.text(of: try #require(tokenizer.id(of: "<0x0A>"))) == "\n")
        #expect(tokenizer.text(of: try #require(tokenizer.id(of: "<think>"))) == "<think>")
    }

    @Test("Damaged models are refused")
    func damaged() throws {
        let whole = try Fixture.bytes("symbols.model")
        func refused(_ bytes: [UInt8]) -> Bool {
            do {
                _ = try ModelImport.tokenizerJSON(sentencePieceModel: bytes, path: "x.model")
                return false
            } catch {
                return error is ModelFormatError
            }
        }
        #expect(!refused(whole))
        #expect(refused([]))
        // A cut inside the last field, a field that declares more bytes than follow, and a number without end.
        #expect(refused(Array(whole.dropLast())))
        #expect(refused([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x61]))
        #expect(refused([0x08] + [UInt8](repeating: 0xFF, count: 11)))
        #expect(refused([0x0B] + whole))
        for position in stride(from: 0, to: whole.count, by: 7) {
            var bytes = whole
            bytes[position] ^= 0x55
            _ = refused(bytes)
        }
    }
}
