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
        #expect(report.templatePrefill == "<think>")
        #expect(!report.templateWasFixed)
        #expect(file.metadata.chatTemplate == Self.prefilling)
        #expect(
            report.notes == [
                "the chat template ends the generation prompt with <think>, so the model cannot choose a mode; "
                    + "give --fix-template to remove it"
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
}
