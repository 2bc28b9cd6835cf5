import OrderedJSON
import Testing
import Jinja
import Tokenization

/// Rendering equal to transformers' `apply_chat_template`; the fixture says which version.
@Suite("Chat templates")
struct ChatTemplateTests {
    @Test("Whole templates over conversations")
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

    @Test("Constructs one by one, and what is refused")
    func snippets() throws {
        let fixture = try Fixture.json("templates.json")
        for entry in try #require(fixture["snippets"]?.array) {
            let source = try #require(entry["source"]?.string)
            let rendered = Result { try ChatTemplate(source).render([], addGenerationPrompt: false) }
            switch rendered {
            case .success(let text): #expect(text == entry["expected"]?.string, "\(source)")
            case .failure(let error): #expect(entry["expected"]?.string == nil, "\(source): \(error)")
            }
        }
    }

    @Test("Messages of role and content")
    func messages() throws {
        let template = try ChatTemplate(
            "{% for m in messages %}<{{ m.role }}>{{ m['content'] }}{% endfor %}{{ eos }}{{ tools is none }}")
        let text = try template.render(
            [ChatMessage(role: "user", content: "Hi"), ChatMessage(role: "assistant", content: "Yo")],
            addGenerationPrompt: false, variables: ["eos": "</s>"])
        #expect(text == "<user>Hi<assistant>Yo</s>True")
    }

    @Test(
        "Errors name line and column",
        arguments: [
            ("a\n  {{ x | nofilter }}", 2, 10, "the filter \"nofilter\" is not supported"),
            ("{% if x is weird %}{% endif %}", 1, 12, "the test \"weird\" is not supported"),
            ("\n\n{% include 'a' %}", 3, 4, "the tag \"include\" is not supported"),
            ("{% for x in y recursive %}{% endfor %}", 1, 15, "a recursive loop is not supported"),
            ("{{ f(*a) }}", 1, 6, "unpacking of arguments is not supported"),
            ("{{ '<'|safe + a }}", 1, 8, "\"safe\" in a calculation is not supported; leave it out"),
            ("{% if a %}b", 1, 11, "the template ends before \"endif\""),
            ("{{ 'a", 1, 4, "a string without end"),
            ("{{ a", 1, 1, "a tag without end"),
            ("{% break %}", 1, 4, "\"break\" outside of a loop"),
            ("{{ a ! b }}", 1, 6, "unexpected character \"!\""),
            ("{{ (a] }}", 1, 6, "\"]\" closes nothing"),
            ("{# a", 1, 1, "a comment without end"),
        ])
    func syntax(_ source: String, _ line: Int, _ column: Int, _ reason: String) {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source) }
        #expect(error?.kind == .syntax)
        #expect(error?.description == "chat template, line \(line), column \(column): \(reason)")
    }

    @Test(
        "Mistakes while rendering name their place too",
        arguments: [
            ("\n {{ messages[0].role }}", 2, 16, "a list has no item 0, so it has no \"role\""),
            ("{{ nothing.at.all }}", 1, 11, "\"nothing\" is undefined, so it has no \"at\""),
            ("{% set a = 1 %}{{ a + 'b' }}", 1, 21, "\"+\" does not work on an integer and a string"),
            ("{{ '%s' % 1 }}", 1, 9, "formatting with \"%\" is not supported; use \"~\""),
            ("{{ cycler(1) }}", 1, 10, "\"cycler\" is undefined, so it cannot be called"),
            ("{{ 9223372036854775807 + 1 }}", 1, 24, "a number beyond 64 bits"),
        ])
    func evaluation(_ source: String, _ line: Int, _ column: Int, _ reason: String) throws {
        let template = try ChatTemplate(source)
        let error = #expect(throws: TemplateError.self) { try template.render([], addGenerationPrompt: false) }
        #expect(error?.kind == .evaluation)
        #expect(error?.description == "chat template, line \(line), column \(column): \(reason)")
    }

    @Test("What a template refuses is told in its words, in one line")
    func refusal() throws {
        let template = try ChatTemplate("{{ raise_exception('roles must\nalternate') }}")
        let error = #expect(throws: TemplateError.self) { try template.render([], addGenerationPrompt: false) }
        #expect(
            error?.description
                == "the chat template refuses the conversation (line 1, column 19): roles must alternate")
    }

    @Test(
        "Hostile templates end soon, with an error",
        arguments: [
            "{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ 'a' * 10000000000 }}", "{{ [1] * 10000000000 }}", "{{ range(10000000000) }}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
            "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=[]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}",
            "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x.replace('a', 'aaaaaaaa') }}{% endfor %}",
            "{% set x = 'a' * 1000000 %}{{ x.replace('', x) }}", "{{ ('a' * 100000)|indent(100000000) }}",
            "{% set x = 'ab' * 1000000 %}{% for i in range(100000) %}{% if 'ba' * 500000 in x %}{% endif %}{% endfor %}",
            "{% set x = ' ' * 1000000 %}{% for i in range(100000) %}{{ x|trim }}{% endfor %}",
            "{{ 2 ** 1000000000 }}", "{{ ([0] * 10000)|map('tojson', indent=64)|join('a' * 1000000) }}",
            "{% set x = range(100000)|list %}{% for i in x %}{{ (x|tojson(indent=64))|length }}{% endfor %}",
        ])
    func hostile(_ source: String) throws {
        let template = try ChatTemplate(source)
        let start = ContinuousClock.now
        #expect(throws: TemplateError.self) { try template.render([], addGenerationPrompt: true) }
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test("Nesting in the source is bounded")
    func nesting() {
        let count = 100_000
        for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}"), ("-", ""), ("not ", ""), ("a[", "]")] {
            let source =
                "{{ " + String(repeating: open, count: count) + "1" + String(repeating: close, count: count) + " }}"
            #expect(throws: TemplateError.self) { try ChatTemplate(source) }
        }
        #expect(throws: TemplateError.self) { try ChatTemplate("{{ a" + String(repeating: ".b", count: count) + " }}") }
        #expect(throws: TemplateError.self) {
            try ChatTemplate("{{ a" + String(repeating: "|trim", count: count) + " }}")
        }
        #expect(throws: TemplateError.self) {
            try ChatTemplate(String(repeating: "{% if a %}", count: count))
        }
        #expect(throws: TemplateError.self) { try ChatTemplate(String(repeating: "a", count: 2_000_000)) }
    }

    @Test("Long but flat templates work")
    func flat() throws {
        let sum = try ChatTemplate("{{ 1" + String(repeating: " + 1", count: 10_000) + " }}")
        #expect(try sum.render([], addGenerationPrompt: false) == "10001")
        let text = try ChatTemplate(String(repeating: "{{ 'a' ~ 'b' }}", count: 10_000))
        #expect(try text.render([], addGenerationPrompt: false).count == 20_000)
    }

    @Test("Texts are compared by code points, as Python does")
    func codePoints() throws {
        let template = try ChatTemplate(
            "{{ 'e\u{301}' == '\u{e9}' }}{{ 'e\u{301}'|length }}{{ {'e\u{301}': 1}['\u{e9}'] is defined }}"
                + "{{ '\u{e9}' in 'e\u{301}' }}{{ 'e\u{301}x'.split('e') }}")
        let text = try template.render([], addGenerationPrompt: false)
        #expect(text == "False2FalseFalse['', '\u{301}x']")
    }

    @Test("The clock")
    func clock() throws {
        let text = try ChatTemplate("{{ strftime_now('%Y-%m-%d') }}").render([], addGenerationPrompt: false)
        #expect(text.utf8.count == 10)
    }
}
