import CheckpointIO
import Testing
import Transformer

@Suite struct MemoryEstimateTests {
    @Test func estimatesGrowWithTheWork() throws {
        let configuration = try ModelConfiguration(
            json: """
                {"model_type": "llama", "hidden_size": 16, "intermediate_size": 22, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "vocab_size": 35}
                """)
        func passes(_ tokens: Int, recomputing: Bool = false, frozen: Set<String> = []) -> Int {
            MemoryEstimate.passes(
                configuration, TrainedLayout(configuration, frozen: frozen), tokens: tokens, longest: 50,
                recomputesActivations: recomputing)
        }
        let small = passes(100)
        #expect(passes(1000) > small)
        #expect(passes(100, recomputing: true) < small)
        let lower = configuration.parameters.map(\.name).filter { !$0.hasPrefix("model.layers.1.") }
        #expect(passes(100, frozen: Set(lower)) < small)
        #expect(
            MemoryEstimate.generation(configuration, rows: 8, group: 8, promptTokens: 512, newTokens: 64)
                < MemoryEstimate.generation(configuration, rows: 8, promptTokens: 512, newTokens: 64))
    }
}
