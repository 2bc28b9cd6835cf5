import CheckpointIO
import Testing
import TrainLoop

@Suite struct LengthLimitTests {
    private func limit(_ scaling: String) throws -> LengthLimit {
        LengthLimit(
            try ModelConfiguration(
                json: """
                    {"model_type":"llama","vocab_size":12,"hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,
                    "num_attention_heads":2,"num_key_value_heads":2,"rms_norm_eps":1e-6,"max_position_embeddings":64,
                    "rope_scaling":\(scaling)}
                    """))
    }

    /// As transformers and vLLM read the longest text of a model.
    @Test(arguments: [
        ("null", 64), (#"{"rope_type":"linear","factor":2.0}"#, 128), (#"{"rope_type":"dynamic","factor":3.0}"#, 192),
        (#"{"rope_type":"yarn","factor":4.0}"#, 256),
        (#"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32}"#, 128),
        (
            #"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"#
                + #""original_max_position_embeddings":16}"#, 64
        ),
        (
            #"{"rope_type":"longrope","short_factor":[1.0,1.0],"long_factor":[2.0,2.0],"#
                + #""original_max_position_embeddings":16}"#, 64
        ),
    ])
    func positions(_ scaling: String, _ positions: Int) throws {
        #expect(try limit(scaling).positions == positions)
    }

    @Test func lengthsAreChecked() throws {
        let limit = try limit("null")
        try limit.check(prompt: 24, newTokens: 40)
        #expect(limit.longestAnswer(after: 24) == 40 && limit.longestAnswer(after: 64) == 1)
        #expect(limit.excess(prompt: 24, newTokens: 40) == nil)
        do {
            try limit.check(prompt: 24, newTokens: 41)
            Issue.record("not refused")
        } catch let error as LengthError {
            #expect(
                error.description.hasPrefix(
                    "the longest prompt (24 tokens) and --max-new-tokens 41 exceed the model's 64 positions "
                        + "(max_position_embeddings); give --max-new-tokens 40 or less, stretch the positions ("))
        }
        #expect(throws: LengthError.self) { try limit.check(prompt: 64, newTokens: 1) }
        #expect(throws: LengthError.self) { try limit.check(length: 65, flag: "--max-length") }
        try limit.check(length: 64, flag: "--max-length")
    }

    @Test(arguments: [
        ("1", 1), ("4096", 4096), ("8GiB", 8 << 30), ("8 gib", 8 << 30), ("500MB", 500_000_000), ("1.5kB", 1500),
        ("2TiB", 2 << 40), ("7b", 7),
    ])
    func sizes(_ text: String, _ bytes: Int) { #expect(ByteSize(text)?.bytes == bytes) }

    @Test(arguments: [
        "", "GiB", "-1", "0", "0.5", "1e9", "8Gi", "8G", "nan", "inf", "1.2.3MB", "0x10", "9999999TiB", "٣",
    ])
    func otherTexts(_ text: String) { #expect(ByteSize(text) == nil) }
}
