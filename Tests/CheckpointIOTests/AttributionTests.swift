import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// License, authors, base models and languages, from import to export.
@Suite struct AttributionTests {
    static let card = """
        ---
        license: other
        license_name: "acme: 1.0"
        license_link: https://acme.example/license
        language:
        - en
        - 'de'
        base_model: acme/base
        datasets: [acme/one, acme/two]
        tags:
          - math
          - nested: {no: text}
        model-index:
          - name: x
            results: []
        widget: {text: "hi"}
        authors: Ada
        ---
        # Text
        license: not here
        """

    private func attribution(ofCard card: String) throws -> ModelAttribution {
        try withTemporaryFolder { parent in
            let folder = parent.appendingPathComponent("model")
            try FileManager.default.copyItem(atPath: ModelFixtures.path("llama-tied-bf16"), toPath: folder.path)
            try Data(card.utf8).write(to: folder.appendingPathComponent("README.md"))
            return try ModelImport.open(path: folder.path).attribution
        }
    }

    private func lineage(_ attribution: ModelAttribution) -> [String] {
        let report: JSON = ["attribution": attribution.json]
        return [
            LineageEntry(operation: "import", parent: nil, tool: "ckpt 1", report: report).text,
            LineageEntry(operation: "train-sft", parent: "0123456789abcdef", tool: "ckpt | 2").text,
        ]
    }

    @Test func frontMatterIsRead() throws {
        let attribution = try attribution(ofCard: Self.card)
        #expect(attribution.license == "other" && attribution.licenseName == "acme: 1.0")
        #expect(attribution.licenseLink == "https://acme.example/license" && attribution.authors == ["Ada"])
        #expect(attribution.languages == ["en", "de"] && attribution.baseModels == ["acme/base"])
        #expect(attribution.datasets == ["acme/one", "acme/two"] && attribution.tags == ["math"])
        #expect(ModelAttribution(lineage: lineage(attribution)) == attribution)
    }

    @Test(arguments: [
        "", "---", "# no front matter", "---\nlicense: mit", "---\n- a\n---", "---\n: x\n---",
        "---\nlanguage:\n" + String(repeating: "[", count: 100_000) + "\n---",
        String(repeating: "---\n", count: 10_000),
        "---\nlicense: &a [*a]\n---", "---\ntags: [" + String(repeating: ",", count: 1000) + "]\n---",
    ]) func otherCardsSayNothing(_ card: String) throws {
        #expect(try attribution(ofCard: card).isEmpty)
    }

    @Test func longListsAreCut() throws {
        let tags = (0..<500).map { "- \(String(repeating: "x", count: 900))\($0)" }.joined(separator: "\n")
        let attribution = try attribution(ofCard: "---\ntags:\n\(tags)\n---")
        #expect(attribution.tags.count == 100 && attribution.tags.allSatisfy { $0.count == 500 })
    }

    @Test func exportsCarryIt() throws {
        let attribution = try attribution(ofCard: Self.card)
        try withTemporaryFolder { folder in
            let model = try SampleModel("qwen3", lineage: lineage(attribution))
            let output = folder.appendingPathComponent("my_model").path
            try HuggingFaceExport.write(model.metadata, model, to: output, overwrite: false)
            #expect(try ModelImport.open(path: output).attribution == attribution)
            let gguf = folder.appendingPathComponent("model.gguf").path
            try GGUFExport.write(model.metadata, model, to: gguf, overwrite: false)
            #expect(try ModelImport.open(path: gguf).attribution == attribution)
        }
    }

    @Test func cardOfATrainedModel() throws {
        var metadata = try SampleModel("llama", lineage: lineage(ModelAttribution(lineage: []))).metadata
        metadata.chatTemplate = "{{ messages }}"
        metadata.tokenizer = TokenizerRecord(
            json: Array("{}".utf8),
            addedTokens: ["<think>", "</think>", "<short>"].enumerated().map { index, content in
                AddedTokenRecord(id: 7 + index, content: content, special: false, trained: true)
            }, thinkID: 7, thinkEndID: 8, shortID: 9)
        var history = MetricHistory()
        history.append([("step", 4), ("eval_acc_think", 0.51239), ("loss", 1)])
        metadata.history = ["sft": history]
        metadata.probes = [
            ProbeTable(
                prompts: ["a", "b"], levels: ["", ""], steps: [4], pThink: [[0.25, 0.75]], pShort: [[0.5, 0]])
        ]
        let model = try SampleModel("llama")
        try withTemporaryFolder { folder in
            let output = folder.appendingPathComponent("my_model")
            try HuggingFaceExport.write(metadata, model, to: output.path, overwrite: false)
            let card = try String(contentsOf: output.appendingPathComponent("README.md"), encoding: .utf8)
            for part in [
                "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n# my\\_model\n",
                "| 2 | `train-sft` | `0123456789ab` | ckpt \\| 2 |",
                "| `<think>` | 7 | starts an answer with thinking |",
                "append `<think>` to have it think and `<short>` to have it answer at once.",
                "prompt += \"<think>\"  # or \"<short>\", or nothing", "| sft | `eval_acc_think` | 0.5124 | 4 |",
                "Over 2 probe prompts, the first token is the thinking token with probability 0.5 and the short one "
                    + "with 0.25 on average.",
                "The model that was imported states no license.",
            ] { #expect(card.contains(part), "\(part)") }
            #expect(!card.contains("loss"))
        }
    }
}
