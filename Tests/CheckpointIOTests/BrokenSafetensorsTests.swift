import CheckpointIO
import Foundation
import TestSupport
import Testing

/// The errors for broken safetensors files; the reference implementation accepts most of these files.
@Suite struct BrokenSafetensorsTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var header: String
        var dataByteCount: Int
        var message: String

        init(_ name: String, _ header: String, data: Int = 8, _ message: String) {
            testDescription = name
            self.header = header
            dataByteCount = data
            self.message = message
        }
    }

    private static let tensorA = #""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#

    static let cases: [Case] = [
        Case("empty header", "", data: 0, "header: does not start with '{'"),
        Case("leading space", " {\(tensorA)}", "header: does not start with '{'"),
        Case("array", #"["a"]"#, "header: does not start with '{'"),
        Case("cut JSON", #"{"a":{"dtype":"F32""#, "header: expected ',' or '}' in an object at line 1, column 20"),
        Case(
            "text after the object", "{\(tensorA)}x",
            "header: unexpected text after the JSON value at line 1, column 55"),
        Case("duplicate name", "{\(tensorA),\(tensorA)}", #"header: duplicate key "a" at line 1, column 55"#),
        Case(
            "names that only look the same",
            #"{"é":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#
                + "\"e\u{301}\":" + #"{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
            #"header: duplicate tensor name "é""#),
        Case(
            "empty name", #"{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            "header: a tensor has an empty name"),
        Case("entry that is not an object", #"{"a":1}"#, #"tensor "a": is a number, not an object"#),
        Case(
            "unknown field", #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]}}"#,
            #"tensor "a": unknown field "strides""#),
        Case("no dtype", #"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, #"tensor "a": no dtype"#),
        Case(
            "unknown dtype", #"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
            #"tensor "a": unknown dtype "F31""#),
        Case(
            "unsupported dtype", #"{"a":{"dtype":"F8_E8M0","shape":[8],"data_offsets":[0,8]}}"#,
            #"tensor "a": dtype F8_E8M0 is not supported; convert the model to bfloat16, float16 or float32 first"#),
        Case("no shape", #"{"a":{"dtype":"F32","data_offsets":[0,8]}}"#, #"tensor "a": no shape"#),
        Case(
            "negative extent", #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            #"tensor "a": the shape has something other than non-negative integers"#),
        Case(
            "fraction in the shape", #"{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
            #"tensor "a": the shape has something other than non-negative integers"#),
        Case(
            "shape bomb", #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
            #"tensor "a": the shape is too large"#),
        Case(
            "zero that hides a shape bomb",
            #"{"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}"#,
            data: 0,
            #"tensor "a": the shape is too large"#),
        Case(
            "bytes that do not fit the shape", #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            #"tensor "a": 8 bytes do not hold F32 of shape [3], which takes 12"#),
        Case(
            "reversed offsets", #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            #"tensor "a": data_offsets are not [begin, end]"#),
        Case(
            "three offsets", #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}"#,
            #"tensor "a": data_offsets are not [begin, end]"#),
        Case(
            "gap at the start", #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            #"tensor "a": 4 unused bytes lie between the start of the data and this tensor"#),
        Case(
            "gap between tensors",
            #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#
                + #""b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}}"#,
            #"tensor "b": 1 unused byte lies between tensor "a" and this tensor"#),
        Case(
            "overlap",
            #"{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"#
                + #""b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
            #"tensor "b": overlaps tensor "a""#),
        Case(
            "bytes after the last tensor", "{\(tensorA)}", data: 9, "end of the data: 1 byte follows the last tensor"),
        Case(
            "data cut", "{\(tensorA)}", data: 7,
            #"tensor "a": the file ends too early (8 bytes needed, 7 there); download or copy it again"#),
        Case(
            "metadata that is not an object", #"{"__metadata__":[],\#(tensorA)}"#,
            "__metadata__: is an array, not an object"),
        Case(
            "metadata value that is not a string", #"{"__metadata__":{"step":3},\#(tensorA)}"#,
            #"__metadata__ "step": is a number, not a string"#),
        Case(
            "control characters in a name", #"{"\u001b[2J":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
            #"tensor "\u{1b}[2J": unknown dtype "F31""#),
        Case("deep nesting", #"{"a":[[[[[[]]]]]]}"#, "header: JSON is nested too deeply at line 1, column 9"),
    ]

    @Test(arguments: cases)
    func isRefused(_ broken: Case) throws {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("model.safetensors")
            var file = withUnsafeBytes(of: UInt64(broken.header.utf8.count).littleEndian) { Data($0) }
            file.append(Data(broken.header.utf8))
            file.append(Data(count: broken.dataByteCount))
            try file.write(to: url)
            #expect(
                ModelFixtures.message { try ModelImport.open(path: url.path) } == "\(url.path): \(broken.message)")
        }
    }

    /// Valid safetensors names that a checkpoint cannot have; the error names the file.
    @Test(arguments: [
        ("../x", "tensor '../x': a tensor name must not contain '/'"),
        ("a..b", "tensor 'a..b': a tensor name must not have an empty part between dots"),
        ("a\\u0000", "tensor 'a\\u{0}': a tensor name must not contain a NUL character"),
        ("a\\u202e", "tensor 'a\\u{202e}': a tensor name must not contain invisible characters"),
    ])
    func nameInvalidInACheckpointIsRefused(name: String, message: String) throws {
        try withTemporaryFolder { folder in
            let header = "{\"\(name)\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
            var file = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
            file.append(Data(header.utf8))
            file.append(Data(count: 8))
            try file.write(to: folder.appendingPathComponent("model.safetensors"))
            try Data("{\"model_type\":\"llama\"}".utf8).write(to: folder.appendingPathComponent("config.json"))
            #expect(
                ModelFixtures.message { try ModelImport.open(path: folder.path) }
                    == "\(folder.path): \(message)")
        }
    }

    @Test(arguments: [
        (Data(), "header length: the file ends too early (8 bytes needed, 0 there); download or copy it again"),
        (Data([1, 2]), "header length: the file ends too early (8 bytes needed, 2 there); download or copy it again"),
        (
            Data([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7B]),
            "header length: 18446744073709551615 bytes are more than the 100000000 allowed"
        ),
        (
            Data([0, 0xE1, 0xF5, 0x05, 0, 0, 0, 0, 0x7B]),
            "header: the file ends too early (100000000 bytes needed, 1 there); download or copy it again"
        ),
    ])
    func impossibleHeaderLengthIsRefused(content: Data, message: String) throws {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("model.safetensors")
            try content.write(to: url)
            #expect(ModelFixtures.message { try ModelImport.open(path: url.path) } == "\(url.path): \(message)")
        }
    }

    /// A valid folder with one file changed or removed, and the error.
    @Test(arguments: [
        ("config.json", nil, "/: no config.json; put the model's config.json beside its weights"),
        ("config.json", "[1]", "/config.json: JSON: is an array, not an object"),
        ("config.json", "{\"a\": 1, \"a\": 2}", "/config.json: JSON: duplicate key \"a\" at line 1, column 10"),
        (
            "config.json", #"{"tie_word_embeddings": true, "quantization_config": {"quant_method": "gptq"}}"#,
            "/config.json: a quantised model (\"gptq\") is not supported; "
                + "give the model's bfloat16 or float16 version; of quantised ones, ckpt reads FP8 and GGUF"
        ),
        (
            "config.json", "{}",
            "/config.json: no tensor \"lm_head.weight\" although tie_word_embeddings is not true; "
                + "set tie_word_embeddings to true if the model has no head of its own"
        ),
        (
            "generation_config.json", "nonsense",
            "/generation_config.json: JSON: unexpected word in JSON at line 1, column 1"
        ),
        ("tokenizer.json", "{}", "/tokenizer.json: model: is missing or not an object"),
        (
            "tokenizer.json", #"{"model": {}, "added_tokens": [{"id": -1, "content": "x"}]}"#,
            "/tokenizer.json: added_tokens[0]: has no id in range or no content"
        ),
        (
            "tokenizer.json", #"{"model": {"vocab": {"a": 293}}}"#,
            ": tokenizer: has token ids up to 293, but model.embed_tokens.weight has 293 rows"
        ),
    ])
    func folderWithABrokenTextFileIsRefused(name: String, content: String?, message: String) throws {
        try withTemporaryFolder { parent in
            let folder = parent.appendingPathComponent("model")
            try FileManager.default.copyItem(
                at: ModelFixtures.folder.appendingPathComponent("llama-tied-bf16"), to: folder)
            let file = folder.appendingPathComponent(name)
            try FileManager.default.removeItem(at: file)
            if let content { try Data(content.utf8).write(to: file) }
            let wanted = folder.path + (message.hasPrefix("/:") ? String(message.dropFirst()) : message)
            #expect(ModelFixtures.message { try ModelImport.open(path: folder.path) } == wanted)
        }
    }

    @Test func pickleIsNeverRead() throws {
        try withTemporaryFolder { folder in
            let refusal =
                ": PyTorch pickle files can run code and are never read; save the model as safetensors first "
                + "(transformers: save_pretrained(folder, safe_serialization=True))"
            let bin = folder.appendingPathComponent("pytorch_model.bin")
            try Data([0x50, 0x4B, 0x03, 0x04, 0, 0]).write(to: bin)
            #expect(ModelFixtures.message { try ModelImport.open(path: bin.path) } == bin.path + refusal)
            #expect(ModelFixtures.message { try ModelImport.open(path: folder.path) } == bin.path + refusal)
            let disguised = folder.appendingPathComponent("weights.data")
            try Data([0x80, 2, 0x7D, 0x71]).write(to: disguised)
            #expect(ModelFixtures.message { try ModelImport.open(path: disguised.path) } == disguised.path + refusal)
        }
    }

    @Test func inputsThatAreNotModelsAreRefused() throws {
        try withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("notes.txt")
            try Data("just text".utf8).write(to: file)
            #expect(
                ModelFixtures.message { try ModelImport.open(path: file.path) }
                    == "\(file.path): not a model that ckpt reads; give a Hugging Face folder, "
                    + "a .safetensors file or a .gguf file")
            #expect(
                ModelFixtures.message { try ModelImport.open(path: folder.path + "/none") }
                    == "\(folder.path)/none: cannot read: no such file or directory; check the path")
            mkfifo(folder.appendingPathComponent("pipe").path, 0o600)
            #expect(
                ModelFixtures.message { try ModelImport.open(path: folder.path + "/pipe") }
                    == "\(folder.path)/pipe: cannot read: not a regular file")
            #expect(
                ModelFixtures.message { try ModelImport.open(path: folder.path) }
                    == "\(folder.path): no model.safetensors; give a Hugging Face folder with safetensors weights, "
                    + "or a .gguf file")
        }
    }

    @Test(arguments: [
        (
            #"{"weight_map": {"a": "../x.safetensors"}}"#,
            #"weight_map "a": "../x.safetensors" is not the name of a file in the index's folder"#
        ),
        (
            #"{"weight_map": {"a": "one\nsafetensors"}}"#,
            #"weight_map "a": "one\u{a}safetensors" is not the name of a file in the index's folder"#
        ),
        (#"{"weight_map": {"a": 1}}"#, #"weight_map "a": is a number, not a file name"#),
        (#"{"weight_map": {}}"#, "weight_map: lists no tensors"),
        (#"{}"#, "weight_map: is missing or not an object"),
    ])
    func indexThatContradictsTheShardsIsRefused(index: String, message: String) throws {
        try withTemporaryFolder { folder in
            let header = #"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
            var shard = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
            shard.append(Data(header.utf8) + Data(count: 1))
            try shard.write(to: folder.appendingPathComponent("one.safetensors"))
            let url = folder.appendingPathComponent("model.safetensors.index.json")
            try Data(index.utf8).write(to: url)
            #expect(ModelFixtures.message { try ModelImport.open(path: folder.path) } == "\(url.path): \(message)")
        }
    }

    @Test func oneShardAloneIsRefused() throws {
        try withTemporaryFolder { folder in
            let header = #"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
            var shard = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
            shard.append(Data(header.utf8) + Data(count: 1))
            let file = folder.appendingPathComponent("one.safetensors")
            try shard.write(to: file)
            let index = folder.appendingPathComponent("model.safetensors.index.json")
            try Data(#"{"weight_map": {"w": "one.safetensors"}}"#.utf8).write(to: index)
            #expect(
                ModelFixtures.message { try ModelImport.open(path: file.path) }
                    == "\(file.path): one shard of a model alone is not supported; give the folder, or its index")
        }
    }
}
