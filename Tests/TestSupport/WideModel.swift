import CheckpointIO

extension ModelConfiguration {
    /// A model whose passes are those of a large one: threads share products, and texts share their beginning.
    ///
    /// The engine computes narrower models on one thread for each text.
    package static func wide() throws -> ModelConfiguration {
        try ModelConfiguration(
            json: """
                {"model_type": "llama", "vocab_size": 500, "hidden_size": 384, "intermediate_size": 640,
                 "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
                 "max_position_embeddings": 512, "tie_word_embeddings": true}
                """)
    }
}
