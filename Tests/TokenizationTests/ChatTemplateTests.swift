import OrderedJSON
import Testing
import Tokenization

/// Compares with transformers' `apply_chat_template`; the fixture names the version.
@Suite("Chat templates")
struct ChatTemplateTests {
    @Test("Renders templates like transformers")
    func templates() throws {
        let fixture = try Fixture.json("templates.json")
        let conversations = try #require(fixture["conversations"]?.array)
        let variables = try #require(fixture["variables"]?.array)
        for entry in try #require(fixture["templates"]?.array) {
            let template = try ChatTemplate(try #require(entry["source"]?.string))
            var expected = try #require(entry["expected"]?.array)[...]
            for conversation in conversations {
                for names in variables {
                    for generation in [false, true] {
                        let wanted = expected.popFirst()
                        let given = Dictionary(
                            uniqueKeysWithValues: (names.object ?? JSONObject()).map { ($0.key, $0.value) })
                        let text = try? template.render(
                            records: conversation.array ?? [], addGenerationPrompt: generation, variables: given)
                        #expect(text == wanted?.string, "\(entry["name"]?.string ?? "")")
                    }
                }
            }
            #expect(expected.isEmpty)
        }
    }

    @Test("Renders messages with role and content")
    func messages() throws {
        let template = try ChatTemplate(
            "{% for m in messages %}<{{ m.role }}>{{ m['content'] }}{% endfor %}{{ eos }}{{ tools is none }}")
        let text = try template.render(
            [ChatMessage(role: "user", content: "Hi"), ChatMessage(role: "assistant", content: "Yo")],
            addGenerationPrompt: false, variables: ["eos": "</s>"])
        #expect(text == "<user>Hi<assistant>Yo</s>True")
    }
}
