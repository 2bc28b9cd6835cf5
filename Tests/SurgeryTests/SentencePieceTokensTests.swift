import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing
import Tokenization

/// Control tokens in tokenizers that mark spaces, such as Llama 2's.
@Suite struct SentencePieceTokensTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    static func tokenizer(_ name: String) throws -> [UInt8] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: tests.appending(path: "TokenizationTests/Fixtures/\(name).tokenizer.json")))
    }

    @Test(arguments: ["sentencepiece-like", "gpt2-prefixed"]) func tokensAreAppended(name: String) throws {
        var model = TinyModel()
        model.tokenizerJSON = try Self.tokenizer(name)
        let input = try model.write(to: folder.path("in.h5"))
        var options = AddTokensOptions()
        options.measuresDivergence = false
        let before = try Tokenizer(json: try #require(model.tokenizerJSON))
        let report = try AddTokens.run(input, options, to: folder.destination("out.h5"))
        #expect(report.tokens.map(\.id) == (0..<3).map { before.vocabularySize + $0 })
        #expect(report.tokens.map(\.encodes) == [true, true, true])
        let record = try #require(try CheckpointFile(path: folder.path("out.h5")).metadata.tokenizer)
        let after = try Tokenizer(json: record.json)
        let think = try #require(record.thinkID)
        #expect(after.encode("so<think>the answer") == before.encode("so") + [think] + before.encode("the answer"))
        #expect(after.encode("<think>") == [think])
    }

    @Test(arguments: ["metaspace-first", "metaspace-always", "metaspace-never", "gemma-like", "unigram-bytes"])
    func tokensOfAnyKindAreRenamedAndAdded(name: String) throws {
        var model = TinyModel()
        model.tokenizerJSON = try Self.tokenizer(name)
        let input = try model.write(to: folder.path("in.h5"))
        var options = AddTokensOptions()
        options.tokens = ["<fast>", "<slow>"]
        options.renames = [("<short>", "<fast>")]
        options.measuresDivergence = false
        let before = try Tokenizer(json: try #require(model.tokenizerJSON))
        let report = try AddTokens.run(input, options, to: folder.destination("out.h5"))
        #expect(report.tokens.map(\.id) == [before.id(of: "<short>"), before.vocabularySize])
        let record = try #require(try CheckpointFile(path: folder.path("out.h5")).metadata.tokenizer)
        let after = try Tokenizer(json: record.json)
        let fast = try #require(before.id(of: "<short>"))
        #expect(after.encode("<slow><fast>") == [before.vocabularySize, fast])
    }
}
