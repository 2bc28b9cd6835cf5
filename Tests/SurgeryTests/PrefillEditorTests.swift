import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing
import Tokenization

/// Templates that prefill `<think>` in the generation prompt.
@Suite struct PrefillEditorTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    static let prefilling =
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}"
        + "{% else %}<|assistant|>{{ message['content'].split('</think>')[-1] }}<|end|>{% endif %}{% endfor %}"
        + "{% if add_generation_prompt %}{{'<|assistant|><think>\\n'}}{% endif %}"

    func add(_ template: String, fixes: Bool) throws -> (CheckpointFile, AddTokensReport) {
        let input = try TinyModel(template: template).write(to: folder.path("in.h5"))
        var options = AddTokensOptions()
        options.fixesTemplate = fixes
        options.measuresDivergence = false
        let report = try AddTokens.run(input, options, to: folder.destination("out.h5"))
        return (try CheckpointFile(path: folder.path("out.h5")), report)
    }

    @Test func aPrefillIsReported() throws {
        let (file, report) = try add(Self.prefilling, fixes: false)
        #expect(report.templatePrefill == "<think>\n")
        #expect(!report.templateWasFixed)
        #expect(file.metadata.chatTemplate == Self.prefilling)
        #expect(
            report.notes == [
                "the chat template puts \"<think>\\n\" after the assistant's header, so the model cannot choose a "
                    + "mode; give --fix-template to remove it"
            ])
    }

    @Test func onlyThePrefillIsRemoved() throws {
        let (file, report) = try add(Self.prefilling, fixes: true)
        #expect(report.templateWasFixed)
        let fixed = try #require(file.metadata.chatTemplate)
        #expect(fixed == Self.prefilling.replacing("<think>\\n", with: ""))
        let messages = [ChatMessage(role: "user", content: "Hi")]
        #expect(
            try ChatTemplate(fixed).render(messages, addGenerationPrompt: true, variables: ["bos_token": "<s>"])
                == "<s><|user|>Hi<|assistant|>")
    }

    @Test func otherOccurrencesStay() throws {
        let template =
            "{% for message in messages %}{{ '<think>' if message['role'] == 'system' }}<|user|>{{ message['content'] }}"
            + "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n<think>\n{% endif %}"
        let (file, report) = try add(template, fixes: true)
        #expect(report.templateWasFixed)
        #expect(file.metadata.chatTemplate?.contains("{{ '<think>' if") == true)
        #expect(file.metadata.chatTemplate?.contains("<|assistant|>\n{% endif %}") == true)
    }

    @Test func aTemplateWithoutPrefillStays() throws {
        let template = try #require(TinyModel().template)
        let (file, report) = try add(template, fixes: true)
        #expect(report.templatePrefill == nil)
        #expect(!report.templateWasFixed)
        #expect(file.metadata.chatTemplate == template)
    }

    /// Qwen3.5's form: an empty thought unless thinking is on.
    private static func thoughtful(_ turn: String = "") -> String {
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
            + "{% if message.role == 'assistant' %}\(turn){% endif %}{{ message.content + '<|im_end|>\\n' }}{% endfor %}"
            + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
            + "{% if enable_thinking is defined and enable_thinking %}{{ '<think>\\n' }}"
            + "{% else %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
    }

    @Test(arguments: ["", "{{ '<think>\\n\\n</think>\\n\\n' }}", "{% generation %}{% endgeneration %}"])
    func anEmptyThoughtIsRemoved(_ turn: String) throws {
        let template = Self.thoughtful(turn)
        let (file, report) = try add(template, fixes: true)
        #expect(report.templateWasFixed)
        #expect(
            report.notes == [#"removed "<think>\n\n</think>\n\n" after the assistant's header from the chat template"#])
        let fixed = try ChatTemplate(try #require(file.metadata.chatTemplate))
        let messages = [ChatMessage(role: "user", content: "Hi")]
        for variables in [[:], ["enable_thinking": true], ["enable_thinking": false]] as [[String: JSON]] {
            #expect(
                try fixed.render(messages, addGenerationPrompt: true, variables: variables)
                    == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        }
        let finished = messages + [ChatMessage(role: "assistant", content: "Ho")]
        #expect(
            try fixed.render(finished, addGenerationPrompt: false)
                == ChatTemplate(template).render(finished, addGenerationPrompt: false))
    }

    @Test func aPrefillOfSeveralPiecesIsRemoved() throws {
        let template =
            "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
            + "{% if add_generation_prompt %}{{ '<|assistant|>' }}{{ '<think>' }}{{ '\\n\\n' }}</think>{% endif %}"
        let (file, report) = try add(template, fixes: true)
        #expect(report.templatePrefill == "<think>\n\n</think>")
        let fixed = try ChatTemplate(try #require(file.metadata.chatTemplate))
        #expect(
            try fixed.render([ChatMessage(role: "user", content: "Hi")], addGenerationPrompt: true)
                == "<|user|>Hi<|end|><|assistant|>")
    }

    @Test func aPrefillThatIsComputedIsRefused() throws {
        let template =
            "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
            + "{% if add_generation_prompt %}<|assistant|>{{ '<THINK>' | lower }}{% endif %}"
        #expect(throws: SurgeryError.self) { try add(template, fixes: true) }
    }
}
