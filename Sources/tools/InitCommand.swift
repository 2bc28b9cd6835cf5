import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization
import TrainLoop
import Transformer

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Create a small random model with a tokenizer.",
        discussion: """
            Examples:
              ckpt init -o base.h5
              ckpt init -o base.h5 --hidden-size 128 --layers 3 --heads 4

            Creates a Llama-family decoder with tied embeddings and a byte-level tokenizer whose tokens are single \
            bytes, small enough to train from scratch on a CPU. The chat template is the text of the messages.
            """)

    @OptionGroup var output: OutputOptions

    @Option(help: "Width of the residual stream.")
    var hiddenSize = 128

    @Option(help: "Decoder layers.")
    var layers = 3

    @Option(help: "Attention heads; must divide --hidden-size into an even head dimension.")
    var heads = 4

    @Option(help: "Key and value heads; must divide --heads. Default: the value of --heads.")
    var keyValueHeads: Int?

    @Option(help: "Width inside the gated MLP.")
    var intermediateSize = 352

    @Option(help: "The longest sequence, in tokens.")
    var maxPositions = 512

    @Option(help: "The characters that are tokens. Default: all 256 bytes.")
    var alphabet: String?

    @Option(help: "Seed of the random weights.")
    var seed: UInt64 = 0

    func validate() throws {
        for (name, value, limit) in [
            ("--hidden-size", hiddenSize, 16384), ("--layers", layers, 512), ("--heads", heads, 1024),
            ("--key-value-heads", keyValueHeads ?? heads, 1024), ("--intermediate-size", intermediateSize, 65536),
            ("--max-positions", maxPositions, 1 << 20),
        ] {
            guard (1...limit).contains(value) else { throw ValidationError("\(name) must lie in 1...\(limit)") }
        }
        guard hiddenSize % (2 * heads) == 0 else {
            throw ValidationError("--hidden-size must be a multiple of twice --heads")
        }
        guard heads % (keyValueHeads ?? heads) == 0 else {
            throw ValidationError("--key-value-heads must divide --heads")
        }
    }

    func run() throws {
        try output.check()
        let endText = "<|end|>"
        let tokenizerJSON = ByteLevelTokenizer.makeJSON(specialTokens: [endText], alphabet: alphabet.map { $0 + "\n" })
        let tokenizer = try Tokenizer(json: tokenizerJSON)
        guard let end = tokenizer.id(of: endText) else { throw ValidationError("the tokenizer has no end token") }

        let config: JSON = [
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": .integer(tokenizer.vocabularySize),
            "hidden_size": .integer(hiddenSize), "intermediate_size": .integer(intermediateSize),
            "num_hidden_layers": .integer(layers), "num_attention_heads": .integer(heads),
            "num_key_value_heads": .integer(keyValueHeads ?? heads), "hidden_act": "silu",
            "max_position_embeddings": .integer(maxPositions), "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": true, "initializer_range": 0.02,
            "bos_token_id": .null, "eos_token_id": .integer(end), "torch_dtype": "float32",
        ]
        let tokenizerConfig: JSON = [
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": .string(endText), "pad_token": .string(endText),
            "clean_up_tokenization_spaces": false,
        ]
        let text = config.serialized(indent: 2)
        let parameters = ModelParameters(try ModelConfiguration(json: text), randomSeed: seed)
        let arguments: JSON = [
            "hidden_size": .integer(hiddenSize), "layers": .integer(layers), "heads": .integer(heads),
            "intermediate_size": .integer(intermediateSize), "seed": .string(String(seed)),
        ]
        let metadata = CheckpointMetadata(
            kind: .model, step: 0, createdBy: Tool.name, config: text,
            generationConfig: JSON.object(JSONObject([("eos_token_id", .integer(end))])).serialized(indent: 2),
            chatTemplate: "{% for message in messages %}{{ message['content'] }}{% endfor %}",
            tokenizer: TokenizerRecord(
                json: tokenizerJSON, config: tokenizerConfig.serialized(indent: 2),
                addedTokens: [AddedTokenRecord(id: end, content: endText, special: true, trained: false)]),
            tiedTensors: ["lm_head.weight": "model.embed_tokens.weight"],
            lineage: [LineageEntry(operation: "init", arguments: arguments, parent: nil, tool: Tool.name).text])
        let written = try CheckpointWriter.write(
            metadata, tensors: TrainingState.tensors(.weights, parameters), to: output.output, overwrite: output.force)
        print(
            "\(output.output): \(Format.grouped(parameters.configuration.parameterCount)) parameters, "
                + "vocabulary \(tokenizer.vocabularySize), \(Format.bytes(written.fileByteCount)), "
                + "digest \(Format.shortDigest(written.digest))")
    }
}
