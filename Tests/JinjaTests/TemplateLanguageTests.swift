import Foundation
import Jinja
import OrderedJSON
import Testing

/// Compares with Jinja as transformers configures it; the fixture names the versions.
@Suite("Template language")
struct TemplateLanguageTests {
    /// The variables that `ChatTemplate` defines for an empty conversation.
    static let variables: [String: JSON] = [
        "messages": [], "tools": .null, "documents": .null, "add_generation_prompt": false,
    ]

    @Test("Renders or rejects each construct like Jinja")
    func snippets() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Fixtures/snippets.json")
        let fixture = try JSON.parse([UInt8](Data(contentsOf: path)))
        for entry in try #require(fixture["snippets"]?.array) {
            let source = try #require(entry["source"]?.string)
            let rendered = Result { try Template(source).render(Self.variables) }
            switch rendered {
            case .success(let text): #expect(text == entry["expected"]?.string, "\(source)")
            case .failure(let error): #expect(entry["expected"]?.string == nil, "\(source): \(error)")
            }
        }
    }

    @Test(
        "Syntax errors name line and column",
        arguments: [
            ("a\n  {{ x | nofilter }}", 2, 10, "the filter \"nofilter\" is not supported"),
            ("{% if x is weird %}{% endif %}", 1, 12, "the test \"weird\" is not supported"),
            ("\n\n{% include 'a' %}", 3, 4, "the tag \"include\" is not supported"),
            ("{% for x in y recursive %}{% endfor %}", 1, 15, "recursive loops are not supported"),
            ("{{ f(*a) }}", 1, 6, "argument unpacking is not supported"),
            ("{{ '<'|safe + a }}", 1, 8, "\"safe\" in a calculation is not supported; leave it out"),
            ("{% if a %}b", 1, 11, "the template ends before \"endif\""),
            ("{{ 'a", 1, 4, "unterminated string"),
            ("{{ a", 1, 1, "unterminated tag"),
            ("{% break %}", 1, 4, "\"break\" outside a loop"),
            ("{{ a ! b }}", 1, 6, "unexpected character \"!\""),
            ("{{ (a] }}", 1, 6, "unmatched \"]\""),
            ("{# a", 1, 1, "unterminated comment"),
        ])
    func syntax(_ source: String, _ line: Int, _ column: Int, _ reason: String) {
        let error = #expect(throws: TemplateError.self) { try Template(source) }
        #expect(error?.kind == .syntax)
        #expect(error?.description == "chat template, line \(line), column \(column): \(reason)")
    }

    @Test(
        "Rendering errors name line and column",
        arguments: [
            ("\n {{ messages[0].role }}", 2, 16, "a list has no item 0, so it has no \"role\""),
            ("{{ nothing.at.all }}", 1, 11, "\"nothing\" is undefined, so it has no \"at\""),
            ("{% set a = 1 %}{{ a + 'b' }}", 1, 21, "\"+\" does not work on an integer and a string"),
            ("{{ '%s' % 1 }}", 1, 9, "formatting with \"%\" is not supported; use \"~\""),
            ("{{ cycler(1) }}", 1, 10, "\"cycler\" is undefined, so it cannot be called"),
            ("{{ 9223372036854775807 + 1 }}", 1, 24, "the number does not fit in 64 bits"),
        ])
    func evaluation(_ source: String, _ line: Int, _ column: Int, _ reason: String) throws {
        let template = try Template(source)
        let error = #expect(throws: TemplateError.self) { try template.render(Self.variables) }
        #expect(error?.kind == .evaluation)
        #expect(error?.description == "chat template, line \(line), column \(column): \(reason)")
    }

    @Test("raise_exception reports the template's message in one line")
    func refusal() throws {
        let template = try Template("{{ raise_exception('roles must\nalternate') }}")
        let error = #expect(throws: TemplateError.self) { try template.render(Self.variables) }
        #expect(
            error?.description
                == "the chat template refuses the conversation (line 1, column 19): roles must alternate")
    }

    @Test(
        "Hostile templates fail quickly",
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
        let template = try Template(source)
        let start = ContinuousClock.now
        #expect(throws: TemplateError.self) { try template.render(Self.variables) }
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test("Nesting in the source is bounded")
    func nesting() {
        let count = 100_000
        for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}"), ("-", ""), ("not ", ""), ("a[", "]")] {
            let source =
                "{{ " + String(repeating: open, count: count) + "1" + String(repeating: close, count: count) + " }}"
            #expect(throws: TemplateError.self) { try Template(source) }
        }
        #expect(throws: TemplateError.self) { try Template("{{ a" + String(repeating: ".b", count: count) + " }}") }
        #expect(throws: TemplateError.self) {
            try Template("{{ a" + String(repeating: "|trim", count: count) + " }}")
        }
        #expect(throws: TemplateError.self) {
            try Template(String(repeating: "{% if a %}", count: count))
        }
        #expect(throws: TemplateError.self) { try Template(String(repeating: "a", count: 2_000_000)) }
    }

    @Test("Long templates without nesting work")
    func flat() throws {
        let sum = try Template("{{ 1" + String(repeating: " + 1", count: 10_000) + " }}")
        #expect(try sum.render(Self.variables) == "10001")
        let text = try Template(String(repeating: "{{ 'a' ~ 'b' }}", count: 10_000))
        #expect(try text.render(Self.variables).count == 20_000)
    }

    @Test("Strings are compared by code points, as in Python")
    func codePoints() throws {
        let template = try Template(
            "{{ 'e\u{301}' == '\u{e9}' }}{{ 'e\u{301}'|length }}{{ {'e\u{301}': 1}['\u{e9}'] is defined }}"
                + "{{ '\u{e9}' in 'e\u{301}' }}{{ 'e\u{301}x'.split('e') }}")
        let text = try template.render(Self.variables)
        #expect(text == "False2FalseFalse['', '\u{301}x']")
    }

    @Test("strftime_now formats the current date")
    func clock() throws {
        let text = try Template("{{ strftime_now('%Y-%m-%d') }}").render(Self.variables)
        #expect(text.utf8.count == 10)
    }
}
