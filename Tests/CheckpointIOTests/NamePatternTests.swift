import CheckpointIO
import Testing

@Suite struct NamePatternTests {
    @Test func matches() {
        #expect(NamePattern("model.norm.weight").matches("model.norm.weight"))
        #expect(!NamePattern("model.norm").matches("model.norm.weight"))
        #expect(NamePattern("*").matches(""))
        #expect(NamePattern("*.weight").matches("a.b.weight"))
        #expect(NamePattern("model.layers.*.mlp.*").matches("model.layers.3.mlp.up_proj.weight"))
        #expect(!NamePattern("model.layers.*.mlp.*").matches("model.layers.3.self_attn.q_proj.weight"))
        #expect(!NamePattern("ab*ba").matches("aba"))
    }

    @Test func captures() {
        #expect(NamePattern("a.*.b.*").captures(in: "a.1.2.b.c") == ["1.2", "c"])
        #expect(NamePattern("x").captures(in: "x") == [])
        #expect(NamePattern("*-*").captures(in: "a-b-c") == ["a", "b-c"])
        #expect(NamePattern("**").captures(in: "abc") == ["", "abc"])
    }
}
