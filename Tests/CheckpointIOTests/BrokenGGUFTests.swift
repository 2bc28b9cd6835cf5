import CheckpointIO
import Foundation
import TestSupport
import Testing

/// The errors for broken and unsupported GGUF files.
@Suite struct BrokenGGUFTests {
    /// The parts of a GGUF file; counts are correct unless set.
    struct File: Sendable {
        var version: UInt32 = 3
        var tensorCount: UInt64?
        var valueCount: UInt64?
        /// Key, type number, bytes.
        var values: [(String, UInt32, [UInt8])] = []
        /// Name, dimensions in the file's order, type, offset.
        var tensors: [(String, [UInt64], UInt32, UInt64)] = []
        var dataByteCount = 0
        /// The value of every byte of the data.
        var fill: UInt8 = 0

        static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
            withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
        }

        static func text(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }

        static func list(_ texts: [String]) -> [UInt8] {
            bytes(UInt32(8)) + bytes(UInt64(texts.count)) + texts.flatMap(text)
        }

        mutating func set(_ key: String, _ type: UInt32, _ bytes: [UInt8]) {
            values.removeAll { $0.0 == key }
            values.append((key, type, bytes))
        }

        var content: Data {
            var bytes = Array("GGUF".utf8) + Self.bytes(version)
            bytes += Self.bytes(tensorCount ?? UInt64(tensors.count)) + Self.bytes(valueCount ?? UInt64(values.count))
            for (key, type, value) in values { bytes += Self.text(key) + Self.bytes(type) + value }
            for (name, dimensions, type, offset) in tensors {
                bytes += Self.text(name) + Self.bytes(UInt32(dimensions.count))
                for extent in dimensions { bytes += Self.bytes(extent) }
                bytes += Self.bytes(type) + Self.bytes(offset)
            }
            while bytes.count % 32 != 0 { bytes.append(0) }
            return Data(bytes) + Data(repeating: fill, count: dataByteCount)
        }

        /// A valid decoder without layers, all zeros.
        static var good: File {
            var file = File()
            file.values = [
                ("general.architecture", 8, text("llama")), ("llama.block_count", 4, bytes(UInt32(1))),
                ("llama.context_length", 4, bytes(UInt32(64))), ("llama.embedding_length", 4, bytes(UInt32(8))),
                ("llama.feed_forward_length", 4, bytes(UInt32(8))), ("llama.attention.head_count", 4, bytes(UInt32(2))),
                ("llama.attention.layer_norm_rms_epsilon", 6, bytes(Float(1e-5).bitPattern)),
                ("tokenizer.ggml.model", 8, text("gpt2")), ("tokenizer.ggml.pre", 8, text("smollm")),
                ("tokenizer.ggml.tokens", 9, list(["a", "b", "ab", "<end>"])),
                (
                    "tokenizer.ggml.token_type", 9,
                    bytes(UInt32(5)) + bytes(UInt64(4)) + [1, 1, 1, 3].flatMap { bytes(Int32($0)) }
                ),
                ("tokenizer.ggml.merges", 9, list(["a b"])),
                ("tokenizer.ggml.eos_token_id", 4, bytes(UInt32(3))),
            ]
            file.tensors = [("token_embd.weight", [8, 4], 0, 0), ("output_norm.weight", [8], 0, 128)]
            file.dataByteCount = 160
            return file
        }
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var change: @Sendable (inout File) -> Void
        var message: String

        init(_ name: String, _ message: String, _ change: @escaping @Sendable (inout File) -> Void) {
            testDescription = name
            self.change = change
            self.message = message
        }
    }

    static let cases: [Case] = [
        Case("version 1", "GGUF version 1 is not supported; make the file again with a current llama.cpp") {
            $0.version = 1
        },
        Case("big-endian", "a big-endian GGUF file is not supported; convert it to little-endian first") {
            $0.version = UInt32(3).byteSwapped
        },
        Case("more tensors than bytes", "tensor count: 9223372036854775807 entries do not fit in the rest of the file")
        {
            $0.tensorCount = UInt64(Int64.max)
        },
        Case("more keys than bytes", "key-value count: 18446744073709551615 entries do not fit in the rest of the file")
        {
            $0.valueCount = .max
        },
        Case("key twice", #"key "general.architecture": occurs twice"#) {
            $0.values.append(("general.architecture", 8, File.text("llama")))
        },
        Case("string longer than the file", #"key "x": 1073741824 entries do not fit in the rest of the file"#) {
            $0.values.insert(("x", 8, File.bytes(UInt64(1 << 30))), at: 0)
        },
        Case("array longer than the file", #"key "x": 1152921504606846976 entries do not fit in the rest of the file"#)
        {
            $0.values.insert(("x", 9, File.bytes(UInt32(8)) + File.bytes(UInt64(1 << 60))), at: 0)
        },
        Case("array of arrays", #"key "x": is an array of arrays"#) {
            $0.values.insert(("x", 9, File.bytes(UInt32(9)) + File.bytes(UInt64(0))), at: 0)
        },
        Case("unknown type of value", #"key "x": has unknown type 77"#) { $0.values.insert(("x", 77, []), at: 0) },
        Case("unknown type of element", #"key "x": has unknown element type 13"#) {
            $0.values.insert(("x", 9, File.bytes(UInt32(13)) + File.bytes(UInt64(1))), at: 0)
        },
        Case("boolean of 2", #"key "x": is a boolean with the value 2"#) { $0.values.insert(("x", 7, [2]), at: 0) },
        Case("not UTF-8", #"key "x": is not UTF-8 text"#) {
            $0.values.insert(("x", 8, File.bytes(UInt64(2)) + [0xC3, 0x28]), at: 0)
        },
        Case("alignment of zero", #"key "general.alignment": is not a power of two up to 1048576"#) {
            $0.set("general.alignment", 4, File.bytes(UInt32(0)))
        },
        Case("no architecture", #"no key "general.architecture"; the file does not hold a model"#) {
            $0.values.removeAll { $0.0 == "general.architecture" }
        },
        Case(
            "other architecture",
            #"architecture "gemma" is not supported; ckpt reads llama, phi3, qwen2, qwen3, smollm3"#
        ) {
            $0.set("general.architecture", 8, File.text("gemma"))
        },
        Case("experts", "a mixture of experts is not supported; ckpt reads dense models") {
            $0.set("llama.expert_count", 4, File.bytes(UInt32(8)))
        },
        Case(
            "split",
            "shard 1 of 3 under a name that does not say so is not supported; "
                + "name the shards NAME-00001-of-00003.gguf and so on"
        ) {
            $0.set("split.count", 2, File.bytes(UInt16(3)))
        },
        Case("no heads", #"key "llama.attention.head_count": 0 is not between 1 and 2147483648"#) {
            $0.set("llama.attention.head_count", 4, File.bytes(UInt32(0)))
        },
        Case("size that is a text", #"key "llama.block_count": is a string, not an integer"#) {
            $0.set("llama.block_count", 8, File.text("1"))
        },
        Case("epsilon not finite", #"key "llama.attention.layer_norm_rms_epsilon": is not finite"#) {
            $0.set("llama.attention.layer_norm_rms_epsilon", 6, File.bytes(Float.infinity.bitPattern))
        },
        Case("no embedding", #"no matrix "token_embd.weight"; ckpt reads whole decoders"#) { $0.tensors.removeFirst() },
        Case(
            "tensor of another model",
            #"tensor "blk.0.ssm_a.weight" of architecture "llama" is not supported; "#
                + "ckpt reads plain decoders of llama, phi3, qwen2, qwen3, smollm3"
        ) {
            $0.tensors[1].0 = "blk.0.ssm_a.weight"
        },
        Case("tensor twice", #"tensor "token_embd.weight": occurs twice"#) { $0.tensors[1].0 = "token_embd.weight" },
        Case("no dimensions", #"tensor "token_embd.weight": has 0 dimensions; 1 to 4 are allowed"#) {
            $0.tensors[0].1 = []
        },
        Case("dimension of zero", #"tensor "token_embd.weight": has a dimension of 0"#) { $0.tensors[0].1 = [8, 0] },
        Case("shape bomb", #"tensor "token_embd.weight": the shape is too large"#) {
            $0.tensors[0].1 = [1 << 32, 1 << 32]
        },
        Case("unknown tensor type", #"tensor "token_embd.weight": has unknown type 99"#) { $0.tensors[0].2 = 99 },
        Case(
            "other quantisation",
            #"tensor "token_embd.weight": type NVFP4 is not supported; "#
                + "use a file of the same model with another type, such as BF16, Q8_0 or Q4_K"
        ) { $0.tensors[0].2 = 40 },
        Case("partial blocks", #"tensor "token_embd.weight": rows of 8 are not a multiple of Q8_0's 32"#) {
            $0.tensors[0].2 = 8
        },
        Case("offset not aligned", #"tensor "output_norm.weight": offset 100 is not a multiple of 32"#) {
            $0.tensors[1].3 = 100
        },
        Case(
            "offset beyond the file",
            #"tensor "output_norm.weight": the file ends too early (32 bytes needed, 0 there); "#
                + "download or copy it again"
        ) {
            $0.tensors[1].3 = 1 << 62
        },
        Case("overlap", #"tensor "output_norm.weight": overlaps tensor "token_embd.weight""#) { $0.tensors[1].3 = 96 },
        Case(
            "cut",
            #"tensor "output_norm.weight": the file ends too early (32 bytes needed, 31 there); "#
                + "download or copy it again"
        ) {
            $0.dataByteCount = 159
        },
        Case("WordPiece", #"tokenizer model "bert" is not supported; import the model's Hugging Face folder"#) {
            $0.set("tokenizer.ggml.model", 8, File.text("bert"))
        },
        Case("too few scores", #"key "tokenizer.ggml.scores": has 1 entry for 4 tokens"#) {
            $0.set("tokenizer.ggml.model", 8, File.text("llama"))
            $0.set(
                "tokenizer.ggml.scores", 9,
                File.bytes(UInt32(6)) + File.bytes(UInt64(1)) + File.bytes(Float(0).bitPattern))
        },
        Case(
            "Unigram without scores",
            #"no key "tokenizer.ggml.scores"; make the file again with a current llama.cpp"#
        ) {
            $0.set("tokenizer.ggml.model", 8, File.text("t5"))
        },
        Case(
            "unknown token out of range", #"key "tokenizer.ggml.unknown_token_id": 4 is not one of the 4 tokens"#
        ) {
            $0.set("tokenizer.ggml.model", 8, File.text("llama"))
            $0.set("tokenizer.ggml.unknown_token_id", 4, File.bytes(UInt32(4)))
        },
        Case(
            "unknown pre-tokenizer",
            #"pre-tokenizer "superbpe" is not supported; import the model's Hugging Face folder"#
        ) {
            $0.set("tokenizer.ggml.pre", 8, File.text("superbpe"))
        },
        Case("token twice", #"tokenizer.ggml.tokens[1]: token "a" occurs twice"#) {
            $0.set("tokenizer.ggml.tokens", 9, File.list(["a", "a", "ab", "<end>"]))
        },
        Case("too few token types", #"key "tokenizer.ggml.token_type": has 1 entry for 4 tokens"#) {
            $0.set("tokenizer.ggml.token_type", 9, File.bytes(UInt32(5)) + File.bytes(UInt64(1)) + File.bytes(Int32(1)))
        },
        Case("merge of unknown tokens", #"tokenizer.ggml.merges[0]: "a c" does not join two tokens into a third"#) {
            $0.set("tokenizer.ggml.merges", 9, File.list(["a c"]))
        },
        Case("end token out of range", #"key "tokenizer.ggml.eos_token_id": 4 is not one of the 4 tokens"#) {
            $0.set("tokenizer.ggml.eos_token_id", 4, File.bytes(UInt32(4)))
        },
        Case("tokens without rows", "tokenizer: has token ids up to 3, but model.embed_tokens.weight has 2 rows") {
            $0.tensors[0].1 = [8, 2]
        },
        Case(
            "attention in both directions", "attention in both directions is not supported; ckpt reads causal decoders"
        ) {
            $0.set("llama.attention.causal", 7, [0])
        },
        Case(
            "values of another size",
            "values of 2 dimensions with keys of 4 is not supported; ckpt reads heads of one size"
        ) {
            $0.set("llama.attention.value_length", 4, File.bytes(UInt32(2)))
        },
        Case(
            "unknown scaling",
            #"RoPE scaling "ntk" is not supported; ckpt reads none, linear, yarn, longrope and rope_freqs.weight"#
        ) {
            $0.set("llama.rope.scaling.type", 8, File.text("ntk"))
        },
        Case("negative scaling", #"key "llama.rope.scaling.factor": is not greater than zero"#) {
            $0.set("llama.rope.scaling.factor", 6, File.bytes(Float(-2).bitPattern))
        },
        Case("attention factor of zero", #"key "llama.rope.scaling.attn_factor": is not greater than zero"#) {
            $0.set("llama.rope.scaling.attn_factor", 6, File.bytes(Float(0).bitPattern))
        },
        Case("base of zero", #"key "llama.rope.freq_base": is not greater than zero"#) {
            $0.set("llama.rope.freq_base", 6, File.bytes(Float(0).bitPattern))
        },
        Case("divisors of zero", #"tensor "rope_freqs.weight": has values that are not finite and greater than zero"#) {
            $0.tensors[1] = ("rope_freqs.weight", [2], 0, 128)
        },
        Case(
            "too few divisors",
            #"tensor "rope_freqs.weight": does not have 2 elements, one for each pair of dimensions"#
        ) {
            $0.tensors[1] = ("rope_freqs.weight", [1], 0, 128)
            $0.fill = UInt8(0x40)
        },
        Case(
            "divisors of another architecture",
            #"tensor "rope_freqs.weight" of architecture "qwen2" is not supported; llama.cpp does not read it either"#
        ) {
            $0.values = $0.values.map { ($0.0.replacing("llama.", with: "qwen2."), $0.1, $0.2) }
            $0.set("general.architecture", 8, File.text("qwen2"))
            $0.tensors[1] = ("rope_freqs.weight", [2], 0, 128)
            $0.fill = UInt8(0x40)
        },
        Case(
            "long divisors alone",
            "rope_factors_short.weight or rope_factors_long.weight alone, or without RoPE scaling longrope is not "
                + "supported; import the model's Hugging Face folder"
        ) {
            $0.tensors[1] = ("rope_factors_long.weight", [2], 0, 128)
            $0.fill = UInt8(0x40)
        },
        Case(
            "sizes that the engine refuses",
            #"keys: config.json: "num_hidden_layers" is 99999; it must be a whole number from 1 to 1024"#
        ) {
            $0.set("llama.block_count", 4, File.bytes(UInt32(99999)))
        },
    ]

    @Test func unchangedFileOpens() throws {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("good.gguf")
            try File.good.content.write(to: url)
            #expect(ModelFixtures.message { try ModelImport.open(path: url.path) } == nil)
        }
    }

    @Test(arguments: cases)
    func isRefused(_ broken: Case) throws {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("broken.gguf")
            var file = File.good
            broken.change(&file)
            try file.content.write(to: url)
            #expect(
                ModelFixtures.message { try ModelImport.open(path: url.path) } == "\(url.path): \(broken.message)")
        }
    }

    /// Every truncation gives an error rather than a crash.
    @Test func everyTruncationIsRefused() throws {
        let content = File.good.content
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("cut.gguf")
            for count in 0..<content.count {
                try content.prefix(count).write(to: url)
                #expect(ModelFixtures.message { try ModelImport.open(path: url.path) } != nil, "\(count) bytes")
            }
        }
    }
}
