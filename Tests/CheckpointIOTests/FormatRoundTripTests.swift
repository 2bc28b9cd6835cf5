import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Every family in every format comes back as the same architecture, which `ckpt` runs.
@Suite struct FormatRoundTripTests {
    static let half = "[" + (0..<8).map { "\(1 + Double($0) / 4)" }.joined(separator: ", ") + "]"
    static let long = "[" + (0..<8).map { "\(2 + Double($0))" }.joined(separator: ", ") + "]"

    /// The families with other scalings than LongRoPE.
    static let scaled = ModelConfiguration.Family.allCases.filter { $0 != .phi3 }

    /// Fields of config.json, and the families whose GGUF file can express them.
    static let variants: [(fields: String, families: [ModelConfiguration.Family])] = [
        ("", ModelConfiguration.Family.allCases),
        ("\"tie_word_embeddings\": true", ModelConfiguration.Family.allCases),
        ("\"attention_bias\": true, \"mlp_bias\": true", [.llama]),
        ("\"rope_theta\": 500000.0", ModelConfiguration.Family.allCases),
        (
            "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2.0, \"rope_theta\": 77.0}",
            scaled
        ),
        (
            "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 64}",
            scaled
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, \"attention_factor\": 1.0}",
            scaled
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, \"mscale\": 1.0, \"mscale_all_dim\": 0.5}",
            scaled
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
                + " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}", [.llama, .mistral]
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.5,"
                + " \"high_freq_factor\": 3.0, \"original_max_position_embeddings\": 64}", [.llama, .mistral]
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": \(half), \"long_factor\": \(half),"
                + " \"attention_factor\": 1.25}", [.llama, .mistral, .phi3]
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": \(half), \"long_factor\": \(long),"
                + " \"original_max_position_embeddings\": 64}", [.llama, .mistral, .phi3]
        ),
    ]

    private func checkSame(_ back: ImportedModel, _ model: SampleModel, _ what: String) throws {
        let wanted = try ModelConfiguration(json: model.metadata.config)
        let found = try ModelConfiguration(json: back.metadata.config)
        #expect(
            ArchitectureFit.problem(found, back.source.tensors, tied: back.metadata.tiedTensors) == nil, "\(what)")
        #expect(found.parameters == wanted.parameters, "\(what)")
        #expect(abs(found.ropeTheta - wanted.ropeTheta) < 1e-3, "\(what)")
        #expect(abs(found.rmsNormEpsilon - wanted.rmsNormEpsilon) < 1e-10 && found.unreadFields == [], "\(what)")
        for length in [1, 65, 300] {
            func frequencies(_ configuration: ModelConfiguration) -> (inverse: [Double], magnitude: Double) {
                configuration.ropeScaling.frequencies(
                    theta: configuration.ropeTheta, dimension: configuration.rotaryDimension,
                    maxPositionEmbeddings: configuration.maxPositionEmbeddings, sequenceLength: length)
            }
            let (one, other) = (frequencies(found), frequencies(wanted))
            #expect(abs(one.magnitude - other.magnitude) < 1e-6, "\(what)")
            #expect(
                zip(one.inverse, other.inverse).allSatisfy { abs($0 - $1) <= 1e-6 * $1 }, "\(what), length \(length)")
        }
    }

    @Test(arguments: variants.indices) func formats(_ index: Int) throws {
        let (fields, ggufFamilies) = Self.variants[index]
        try withTemporaryFolder { folder in
            for family in ModelConfiguration.Family.allCases
            where ggufFamilies.contains(family) || (fields.contains("rope") && family != .phi3) {
                let model = try SampleModel(family.rawValue, fields)
                let output = folder.appendingPathComponent("\(family)").path
                try HuggingFaceExport.write(model.metadata, model, to: output, overwrite: false)
                try checkSame(try ModelImport.open(path: output), model, "\(family) folder")
                let file = output + "/model.safetensors"
                try checkSame(try ModelImport.open(path: file), model, "\(family) file")
                for precision in GGUFExport.Precision.allCases {
                    let gguf = "\(output)-\(precision).gguf"
                    func export() throws {
                        try GGUFExport.write(model.metadata, model, to: gguf, overwrite: false, precision: precision)
                    }
                    guard ggufFamilies.contains(family) else {
                        #expect(ModelFixtures.message(export)?.contains("is not supported") == true)
                        continue
                    }
                    try export()
                    try checkSame(try ModelImport.open(path: gguf), model, "\(family) \(precision)")
                }
            }
        }
    }

    @Test func outputBiasIsRefusedWhereLlamaCppHasNone() throws {
        let model = try SampleModel("qwen3", "\"attention_bias\": true")
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("x.gguf").path
            #expect(
                ModelFixtures.message { try GGUFExport.write(model.metadata, model, to: path, overwrite: false) }
                    == "GGUF: a bias of o_proj with model_type qwen3 is not supported; llama.cpp does not load it; "
                    + "export it as a Hugging Face folder")
        }
    }

    /// llama.cpp takes the width of all heads for hidden_size in these architectures.
    @Test(arguments: ["qwen2", "phi3"]) func widthOfHeads(_ family: String) throws {
        let model = try SampleModel(family, headDimension: 32)
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("x.gguf").path
            let message = ModelFixtures.message {
                try GGUFExport.write(model.metadata, model, to: path, overwrite: false)
            }
            #expect(message?.contains("another width than hidden_size with model_type \(family)") == true)
        }
    }

    /// Phi-3's lists are a pair in GGUF even if they are equal: llama.cpp reads no `rope_freqs.weight` there.
    @Test func equalListsOfPhi3() throws {
        let scaling = "{\"type\": \"longrope\", \"short_factor\": \(Self.half), \"long_factor\": \(Self.half)}"
        let model = try SampleModel(
            "phi3", "\"rope_scaling\": \(scaling), \"original_max_position_embeddings\": 64")
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("x.gguf").path
            try GGUFExport.write(model.metadata, model, to: path, overwrite: false)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            for name in ["rope_factors_short.weight", "rope_factors_long.weight"] {
                #expect(bytes.firstRange(of: Data(name.utf8)) != nil)
            }
            #expect(bytes.firstRange(of: Data("rope_freqs.weight".utf8)) == nil)

            // From the file, the usual factor stands in the configuration; transformers 4 refuses it.
            let back = try ModelImport.open(path: path)
            let output = folder.appendingPathComponent("out").path
            try HuggingFaceExport.write(back.metadata, back.source, to: output, overwrite: false)
            let config = try JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: output + "/config.json"))))
            let members = config["rope_scaling"]?.object?.map(\.key)
            #expect(members == ["type", "short_factor", "long_factor"])
            #expect(config["original_max_position_embeddings"] == 64)
            try checkSame(try ModelImport.open(path: output), model, "phi3")
        }
    }

    /// transformers 4 reads the length of LongRoPE beside the object alone.
    @Test func lengthOfLongRoPEStandsBesideTheObject() throws {
        let model = try SampleModel("llama", Self.variants[Self.variants.count - 1].fields)
        try withTemporaryFolder { folder in
            let output = folder.appendingPathComponent("out").path
            try HuggingFaceExport.write(model.metadata, model, to: output, overwrite: false)
            let config = try JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: output + "/config.json"))))
            #expect(config["original_max_position_embeddings"] == 64)
            try checkSame(try ModelImport.open(path: output), model, "llama")
        }
    }

    /// What llama.cpp computes otherwise is refused rather than written.
    @Test(arguments: [
        "\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 2.0}",
        "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2.0, \"beta_fast\": 16}",
        "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2.0, \"truncate\": false}",
    ]) func refusedByGGUF(_ fields: String) throws {
        let model = try SampleModel("llama", fields)
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("x.gguf").path
            let message = ModelFixtures.message {
                try GGUFExport.write(model.metadata, model, to: path, overwrite: false)
            }
            #expect(message?.hasPrefix("GGUF: RoPE scaling ") == true, "\(message ?? "none")")
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    /// One reading for both versions of transformers, whichever fields the file has.
    @Test func exportedRotaryFieldsAgree() throws {
        let stored =
            "\"rope_theta\": 10000.0, \"rope_scaling\": null, \"rope_parameters\": {\"rope_type\": \"linear\","
            + " \"factor\": 2.0, \"rope_theta\": 77.0}"
        let model = try SampleModel("llama", stored)
        try withTemporaryFolder { folder in
            let output = folder.appendingPathComponent("out").path
            try HuggingFaceExport.write(model.metadata, model, to: output, overwrite: false)
            let back = try ModelImport.open(path: output).metadata.config
            let configuration = try ModelConfiguration(json: back)
            #expect(configuration.ropeTheta == 77 && configuration.ropeScaling == .linear(factor: 2))
            #expect(back.contains("\"rope_theta\": 77.0") && !back.contains("10000.0"))
        }
    }
}
