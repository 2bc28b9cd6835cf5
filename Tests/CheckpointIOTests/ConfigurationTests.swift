import CheckpointIO
import Testing

@Suite struct ConfigurationTests {
    static let usual = """
        "hidden_size": 16, "intermediate_size": 22, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 35
        """

    static let refusal = "if the model was trained without it, correct it with ckpt config"

    func message(_ text: String) -> String {
        do {
            _ = try ModelConfiguration(json: text)
            return "accepted"
        } catch { return "\(error)" }
    }

    @Test func defaults() throws {
        let configuration = try ModelConfiguration(
            json: "{\"model_type\": \"qwen2\", \"num_key_value_heads\": null, \(Self.usual)}")
        #expect(configuration.keyValueHeadCount == 4 && configuration.headDimension == 4)
        #expect(configuration.attentionBias && !configuration.attentionOutputBias && !configuration.tiesWordEmbeddings)
        #expect(configuration.parameters.last?.name == "lm_head.weight")
        #expect(configuration.parameterCount == configuration.parameters.reduce(0) { $0 + $1.elementCount })
    }

    @Test(arguments: [
        ("[]", "config.json is not valid JSON: it is an array"),
        ("{}", "config.json has no \"model_type\", which this architecture needs"),
        (
            "{\"model_type\": \"gpt2\"}",
            "config.json: model_type \"gpt2\" is not supported; supported are llama, mistral, phi3, qwen2, qwen3, smollm3"
        ),
        (
            "{\"model_type\": \"llama\", \"is_causal\": false, \(usual)}",
            "config.json: \"is_causal\" = false is read by LlamaForCausalLM and not supported; \(refusal)"
        ),
        (
            "{\"model_type\": \"gemma3_text\", \(usual)}",
            "config.json: model_type \"gemma3_text\" is not supported; supported are llama, mistral, phi3, qwen2, qwen3, smollm3"
        ),
        (
            "{\"model_type\": \"qwen2\", \"num_key_value_heads\": 2, \"layer_types\": [\"full_attention\"], \(usual)}",
            "config.json: layer_types does not list the type of each of 2 layers"
        ),
        (
            "{\"model_type\": \"qwen3\", \"num_key_value_heads\": 2,"
                + " \"layer_types\": [\"full_attention\", \"sliding_attention\"], \(usual)}",
            "config.json: layer_types has sliding_attention, but there is no sliding_window"
        ),
        (
            "{\"model_type\": \"mistral\", \"num_key_value_heads\": 2, \"sliding_window\": 0, \(usual)}",
            "config.json: \"sliding_window\" is 0; it must be a whole number from 1 to 1073741824"
        ),
        (
            "{\"model_type\": \"smollm3\", \"num_key_value_heads\": 2, \"no_rope_layers\": [1], \(usual)}",
            "config.json: no_rope_layers does not list a 0 or 1 for each of 2 layers"
        ),
        (
            "{\"model_type\": \"phi3\", \"partial_rotary_factor\": 0.75, \(usual)}",
            "config.json: \"partial_rotary_factor\" is 0.75; it must be a share of head_dim 4 that is a positive even"
                + " number of dimensions"
        ),
        (
            "{\"model_type\": \"phi3\", \"original_max_position_embeddings\": 8, \"rope_scaling\": {\"type\": \"su\","
                + " \"short_factor\": [1, 1], \"long_factor\": [1, 2, 3]}, \(usual)}",
            "config.json: rope_scaling.long_factor is not a list of 2 positive numbers, one for each pair of rotated"
                + " dimensions"
        ),
        (
            "{\"model_type\": \"llama\", \"hidden_act\": \"gelu\", \(usual)}",
            "config.json: \"hidden_act\" = \"gelu\" is read by LlamaForCausalLM and not supported; \(refusal)"
        ),
        (
            "{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"mrope\"}, \(usual)}",
            "config.json: \"rope_scaling.type\" = \"mrope\" is read by LlamaForCausalLM and not supported; \(refusal)"
        ),
        (
            "{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"longrope\"}, \(usual)}",
            "config.json: rope_scaling.short_factor is not a list of 2 positive numbers, one for each pair of"
                + " rotated dimensions"
        ),
        (
            "{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"linear\"}, \(usual)}",
            "config.json has no \"rope_scaling.factor\", which this architecture needs"
        ),
        (
            "{\"model_type\": \"llama\", \"num_key_value_heads\": 3, \(usual)}",
            "config.json: num_attention_heads 4 is not a multiple of num_key_value_heads 3"
        ),
        (
            "{\"model_type\": \"llama\", \"head_dim\": 5, \(usual)}", "config.json: \"head_dim\" is 5; it must be even"
        ),
        (
            "{\"model_type\": \"llama\", \"rms_norm_eps\": \"small\", \(usual)}",
            "config.json: \"rms_norm_eps\" should be a number but is a string"
        ),
        (
            "{\"model_type\": \"llama\", \"vocab_size\": 0}",
            "config.json: \"vocab_size\" is 0; it must be a whole number from 1 to 16777216"
        ),
    ]) func refusals(_ text: String, _ expected: String) {
        #expect(message(text) == expected)
    }

    /// Windows and rotations by layer are those of the classes in transformers.
    @Test(arguments: [
        ("mistral", "", "4096 4096"), ("mistral", "\"sliding_window\": null,", "- -"), ("phi3", "", "- -"),
        ("phi3", "\"sliding_window\": 9,", "9 9"), ("qwen2", "\"sliding_window\": 9,", "- -"),
        ("qwen2", "\"sliding_window\": 9, \"use_sliding_window\": true, \"max_window_layers\": 1,", "- 9"),
        ("qwen3", "\"use_sliding_window\": true, \"max_window_layers\": 0,", "4096 4096"),
        (
            "qwen3",
            "\"use_sliding_window\": true, \"layer_types\": [\"sliding_attention\", \"full_attention\"],", "4096 -"
        ),
        ("smollm3", "", "- -"), ("smollm3", "\"no_rope_layer_interval\": 2,", "- -!"),
        ("smollm3", "\"no_rope_layers\": [0, 1, 1],", "-! -"),
        ("smollm3", "\"no_rope_layers\": [0, 1], \"sliding_window\": 0,", "-! -"),
        ("qwen2", "\"sliding_window\": 0, \"use_sliding_window\": false,", "- -"),
        ("smollm3", "\"no_rope_layers\": [0, 1], \"use_sliding_window\": true, \"sliding_window\": 7,", "7! -"),
    ]) func layersOf(_ family: String, _ fields: String, _ expected: String) throws {
        let configuration = try ModelConfiguration(
            json: "{\"model_type\": \"\(family)\", \"num_key_value_heads\": 2, \(fields) \(Self.usual)}")
        let layers = configuration.layerAttention.map { ($0.window.map { "\($0)" } ?? "-") + ($0.rotates ? "" : "!") }
        #expect(layers.joined(separator: " ") == expected)
    }

    @Test func tokensAreChecked() throws {
        let configuration = try ModelConfiguration(json: "{\"model_type\": \"llama\", \(Self.usual)}")
        try configuration.check([0, 34])
        #expect(throws: ConfigurationError.tokenOutsideVocabulary(35, size: 35)) { try configuration.check([3, 35]) }
        #expect(throws: ConfigurationError.tokenOutsideVocabulary(-1, size: 35)) { try configuration.check([-1]) }
    }

    @Test func realFilesAreAccepted() throws {
        let smol = """
            {"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
             "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 576,
             "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": true,
             "max_position_embeddings": 8192, "mlp_bias": false,
             "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
             "pad_token_id": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": false,
             "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
             "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}, "transformers_version": "4.42.3",
             "use_cache": true, "vocab_size": 49152}
            """
        #expect(try ModelConfiguration(json: smol).parameterCount == 134_515_008)
        let distill = """
            {"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
             "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 1536, "initializer_range": 0.02,
             "intermediate_size": 8960, "max_position_embeddings": 131072, "max_window_layers": 21,
             "model_type": "qwen2", "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2,
             "rms_norm_eps": 1e-06, "rope_theta": 10000, "sliding_window": 4096, "tie_word_embeddings": false,
             "torch_dtype": "bfloat16", "transformers_version": "4.44.0", "use_cache": true, "use_mrope": false,
             "use_sliding_window": false, "vocab_size": 151936}
            """
        #expect(try ModelConfiguration(json: distill).parameterCount == 1_777_088_000)
    }

    /// Fields, the family, and those among them that the family's class does not read.
    @Test(arguments: [
        (
            "\"_model_name_or_path\": \"x\", \"unk_token_id\": 0, \"torch_dtype\": \"float32\", \"use_cache\": true",
            "llama", ["_model_name_or_path", "unk_token_id"]
        ),
        ("\"mlp_bias\": false, \"logit_scale\": 2", "qwen3", ["mlp_bias", "logit_scale"]),
        ("\"attention_bias\": true", "qwen2", ["attention_bias"]), ("\"attention_bias\": true", "qwen3", []),
        ("\"pretraining_tp\": 2, \"_flash_attn_2_enabled\": true", "llama", ["_flash_attn_2_enabled"]),
        ("\"sliding_window\": null, \"layer_types\": [\"full_attention\", \"full_attention\"]", "llama", []),
        ("\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 2", "qwen2", []),
        ("\"use_sliding_window\": false, \"sliding_window\": 8, \"max_window_layers\": 0", "qwen3", []),
        (
            "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"finetuned\": true}", "llama",
            ["rope_scaling.finetuned"]
        ),
        (
            "\"rope_theta\": 10000.0, \"rope_scaling\": null,"
                + " \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500}", "llama", ["rope_theta"]
        ),
        ("\"partial_rotary_factor\": 0.5", "llama", ["partial_rotary_factor"]),
    ]) func fieldsThatTheClassDoesNotRead(_ fields: String, _ family: String, _ unread: [String]) throws {
        let text = "{\"model_type\": \"\(family)\", \"num_key_value_heads\": 2, \(fields), \(Self.usual)}"
        #expect(try ModelConfiguration(json: text).unreadFields == unread)
    }

    /// The theta and the scaling, as transformers 5 resolves them.
    @Test(arguments: [
        ("\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}", 10000, RotaryScaling.linear(factor: 4)),
        (
            "\"rope_theta\": 7, \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4, \"rope_theta\": 9}", 9,
            .linear(factor: 4)
        ),
        (
            "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, "
                + "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 9}", 10000, .linear(factor: 2)
        ),
        ("\"rope_scaling\": {}, \"rope_parameters\": {\"rope_theta\": 9}", 9, .none),
        (
            "\"original_max_position_embeddings\": 16, \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 1,"
                + " \"original_max_position_embeddings\": 64, \"beta_fast\": 0}", 10000,
            .yarn(factor: 1, attentionFactor: 1, betaFast: 32, betaSlow: 1, originalLength: 16, truncates: true)
        ),
        (
            "\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 1.5], \"long_factor\": [2, 3],"
                + " \"original_max_position_embeddings\": 64, \"attention_factor\": 1.5}", 10000,
            .longrope(short: [1, 1.5], long: [2, 3], attentionFactor: 1.5, originalLength: 64)
        ),
    ]) func rotaryFields(_ fields: String, _ theta: Double, _ scaling: RotaryScaling) throws {
        let text = "{\"model_type\": \"llama\", \(fields), \(Self.usual)}"
        let configuration = try ModelConfiguration(json: text)
        #expect(configuration.ropeTheta == theta && configuration.ropeScaling == scaling)
    }
}
