import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// The files of a folder from which transformers puts a tokenizer together.
@Suite struct TokenizerFilesTests {
    let work: TemporaryFolder
    let folder: URL

    init() throws {
        work = try TemporaryFolder()
        folder = URL(fileURLWithPath: work.path).appending(path: "model")
        try FileManager.default.copyItem(atPath: ModelFixtures.path("llama-tied-bf16"), toPath: folder.path)
    }

    private func write(_ name: String, _ json: JSON) throws {
        try Data(json.serialized().utf8).write(to: folder.appending(path: name))
    }

    private func json(_ name: String) throws -> JSON {
        try JSON.parse([UInt8](Data(contentsOf: folder.appending(path: name))))
    }

    private func remove(_ name: String) throws { try FileManager.default.removeItem(at: folder.appending(path: name)) }

    private func configuration(_ record: TokenizerRecord?) throws -> JSON {
        try JSON.parse(try #require(record?.config))
    }

    @Test func specialTokensMapReplacesTheConfigurationWithoutATable() throws {
        try write("special_tokens_map.json", ["bos_token": ["content": "<|im_start|>"], "eos_token": "<|im_end|>"])
        var config = try json("tokenizer_config.json")
        config["added_tokens_decoder"] = nil
        config["bos_token"] = "<|endoftext|>"
        try write("tokenizer_config.json", config)
        let merged = try ModelImport.open(path: folder.path).metadata.tokenizer
        #expect(try configuration(merged)["bos_token"] == "<|im_start|>")
        #expect(try configuration(merged)["eos_token"] == "<|im_end|>")

        config["added_tokens_decoder"] = [:]
        try write("tokenizer_config.json", config)
        let kept = try ModelImport.open(path: folder.path).metadata.tokenizer
        #expect(try configuration(kept)["bos_token"] == "<|endoftext|>")
    }

    @Test func tokensWithARoleBecomeSpecialAndOthersAreAdded() throws {
        let before = try json("tokenizer.json")
        let rows = try #require(
            ModelImport.open(path: folder.path).source.tensors.first { $0.name == "model.embed_tokens.weight" }?
                .shape.first)
        let count = try #require(before["added_tokens"]?.array?.last?["id"]?.int) + 1
        // An ordinary token of the vocabulary.
        let piece = try #require(before["model"]?["vocab"]?.object?.keys.last)
        try write("tokenizer_config.json", ["bos_token": .string(piece), "unk_token": "<new>", "sep_token": "<far>"])
        try write("added_tokens.json", ["<other>": .integer(count)])
        let model = try ModelImport.open(path: folder.path)
        let added = try #require(model.metadata.tokenizer?.addedTokens)
        #expect(added.first { $0.content == piece }?.special == true)
        #expect(added.first { $0.content == piece }?.id == before["model"]?["vocab"]?[piece]?.int)
        let names = ["<other>", "<new>", "<far>"]
        for (index, name) in names.enumerated() {
            #expect(added.first { $0.content == name }?.id == (count + index < rows ? count + index : nil))
        }
        let leftOut = names.dropFirst(rows - count)
        #expect(!leftOut.isEmpty)
        #expect(
            model.notes.filter { $0.contains("without a row") }
                == [
                    "the tokenizer's files name \(leftOut.map { "\"\($0)\"" }.joined(separator: ", ")) "
                        + "without a row in the embedding; left out"
                ])
    }

    @Test func vocabularyAndMergesAreATokenizer() throws {
        let original = try json("tokenizer.json")
        try write("vocab.json", try #require(original["model"]?["vocab"]))
        let merges = (original["model"]?["merges"]?.array ?? []).map { merge in
            merge.string ?? (merge.array ?? []).compactMap(\.string).joined(separator: " ")
        }
        try Data(("#version: 0.2\n" + merges.joined(separator: "\n") + "\n").utf8)
            .write(to: folder.appending(path: "merges.txt"))
        try remove("tokenizer.json")
        try write("tokenizer_config.json", ["tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"])
        let record = try #require(try ModelImport.open(path: folder.path).metadata.tokenizer)
        let made = try JSON.parse(record.json)
        #expect(made["model"]?["vocab"] == original["model"]?["vocab"])
        #expect(made["model"]?["merges"]?.array?.count == merges.count)
        #expect(made["normalizer"]?["type"] == "NFC")
        #expect(try configuration(record)["pad_token"] == "<|endoftext|>")
        #expect(record.addedTokens.map(\.content) == ["<|endoftext|>", "<|im_end|>"])

        try write("tokenizer_config.json", ["tokenizer_class": "MarianTokenizer"])
        let other = try ModelImport.open(path: folder.path)
        #expect(other.metadata.tokenizer == nil)
        #expect(
            other.notes.contains("no tokenizer.json (vocab.json of this kind not read): imported without a tokenizer"))
    }

    @Test(arguments: [("bpe", "BPE"), ("unigram", "Unigram")])
    func sentencePieceModelIsATokenizer(name: String, type: String) throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        try FileManager.default.copyItem(
            at: tests.appending(path: "FuzzTargetsTests/Fixtures/corpus/sentencepiece/seed-\(name).model"),
            to: folder.appending(path: "tokenizer.model"))
        try remove("tokenizer.json")
        try write("tokenizer_config.json", ["tokenizer_class": "LlamaTokenizer"])
        let record = try #require(try ModelImport.open(path: folder.path).metadata.tokenizer)
        let made = try JSON.parse(record.json)
        #expect(made["model"]?["type"]?.string == type)
        #expect(try configuration(record)["bos_token"] == "<s>")
        #expect(made["post_processor"]?["single"]?.array?.first?["SpecialToken"]?["id"] == "<s>")
        #expect(record.addedTokens.map(\.content) == ["<unk>", "<s>", "</s>"])
    }

    @Test func namedTemplateIsChosen() throws {
        try remove("chat_template.jinja")
        var config = try json("tokenizer_config.json")
        config["chat_template"] = [["name": "chat", "template": "A"], ["name": "tool_use", "template": "B"]]
        try write("tokenizer_config.json", config)
        let none = try ModelImport.open(path: folder.path)
        #expect(none.metadata.chatTemplate == nil)
        #expect(
            none.notes.contains(
                "imported without a chat template: the folder has \"chat\", \"tool_use\" and none named default; "
                    + "choose one with --chat-template"))
        #expect(try ModelImport.open(path: folder.path, templateName: "tool_use").metadata.chatTemplate == "B")
        #expect(
            ModelFixtures.message { try ModelImport.open(path: folder.path, templateName: "rag") }?
                .hasSuffix("no chat template named \"rag\"; it has \"chat\", \"tool_use\"") == true)

        config["chat_template"] = ["default": "C", "rag": "D"]
        try write("tokenizer_config.json", config)
        #expect(try ModelImport.open(path: folder.path).metadata.chatTemplate == "C")
        #expect(try ModelImport.open(path: folder.path, templateName: "rag").metadata.chatTemplate == "D")
    }

    @Test func exportSaysWhatTheTokenizerDoes() throws {
        try write(
            "tokenizer_config.json",
            [
                "tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "bos_token": "<|endoftext|>",
                "unk_token": "<a>", "sep_token": "<b>", "pad_token": "<pad>",
            ])
        let model = try ModelImport.open(path: folder.path)
        let output = URL(fileURLWithPath: work.path).appending(path: "out")
        try HuggingFaceExport.write(model.metadata, model.source, to: output.path, overwrite: false)
        let config = try JSON.parse([UInt8](Data(contentsOf: output.appending(path: "tokenizer_config.json"))))
        #expect(config["tokenizer_class"] == "PreTrainedTokenizerFast")
        // The post-processor adds no token.
        #expect(config["add_bos_token"] == false)
        #expect(config["bos_token"] == "<|endoftext|>")
        // The third new token has no row.
        #expect(config["sep_token"] == "<b>")
        #expect(config["pad_token"] == nil)
    }
}
