import Foundation
import OrderedJSON
import TestSupport
import Testing

/// The output of `ckpt tokenize`.
@Suite struct TokenizeTests {
    private func tokenize(_ arguments: String..., in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(Command.ckptPath, ["tokenize"] + arguments, in: folder)
    }

    @Test func piecesAreQuotedAndTokensMarked() throws {
        let folder = try TinyRun.made.get().folder
        let result = try tokenize("tokens.h5", "7 \n<think>é<|im_end|>", in: folder)
        #expect(result.status == 0)
        let rows = result.output.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1) }
        let pieces = rows.dropLast().map { $0[1].trimmingCharacters(in: .whitespaces) }
        #expect(pieces.prefix(4) == ["\"7\"", "\" \"", "\"\\n\"", "\"<think>\"  control"])
        // Each of the two bytes of é is a token.
        #expect(pieces[4...5] == ["\"\\xC3\"", "\"\\xA9\""])
        #expect(result.output.hasSuffix("tokens, 22 bytes\n"))
        let unseen = try tokenize("tokens.h5", "a\u{200B}\u{A0}b", "--chat", in: folder)
        #expect(unseen.output.hasSuffix("prompt:\n  \"a\\u200b\\u00a0b\"\n"), "\(unseen.output)")
        let plain = try tokenize("tokens.h5", "7<think>", "--plain", in: folder)
        #expect(!plain.output.contains("control"))
        #expect(
            plain.output.hasSuffix("\"<think>\" in the text is encoded as ordinary characters, not as the token\n"))
    }

    @Test func standardInputIsTheText() throws {
        let folder = try TinyRun.made.get().folder
        let command = "\(Command.ckptPath) tokenize tokens.h5"
        let piped = try Command.run("/bin/sh", ["-c", "printf 'a\\n <short>' | \(command)"], in: folder)
        #expect(piped.output == (try tokenize("tokens.h5", "a\n <short>", in: folder)).output)
        #expect(piped.errors.isEmpty)
        let broken = try Command.run("/bin/sh", ["-c", "printf 'a\\377' | \(command)"], in: folder)
        #expect(broken.status == 0)
        #expect(broken.errors == "ckpt: warning: stdin is not valid UTF-8; invalid bytes are replaced with U+FFFD\n")
        let nothing = try Command.run("/bin/sh", ["-c", ": | \(command)"], in: folder)
        #expect(nothing.output == "0 tokens, 0 bytes\n")
    }

    @Test func chatShowsThePromptAndEncodesUserTextPlainly() throws {
        let folder = try TemporaryFolder()
        let model = try modelFolder(
            template: "user\n{{ messages[0].content }}<|end|>\n", in: folder)
        let result = try tokenize(model, "1+1=<short>", "--chat", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("prompt:\n  \"user\\n\"\n  \"1+1=<short><|end|>\"\n"))
        #expect(result.output.contains("\"<short>\" in the text is encoded as ordinary characters"))
        #expect(!result.output.contains("control") && result.output.contains("\"<|end|>\"  special"))
        // The user's text cannot be located in a prompt in which the template has changed it.
        let upper = try modelFolder(template: "{{ messages[0].content | upper }}", in: folder)
        #expect(try tokenize(upper, "a", "--chat", in: folder).output.contains("\"A\""))
        let refused = try tokenize(upper, "a<short>", "--chat", in: folder)
        #expect(refused.status == 2 && refused.errors.contains("changes the user's text"))
    }

    @Test func jsonMatchesTheText() throws {
        let folder = try TinyRun.made.get().folder
        let report = try JSON.parse(try tokenize("tokens.h5", "7é<think>", "--json", in: folder).output)
        let tokens = try #require(report["tokens"]?.array)
        #expect(report["count"]?.int == tokens.count && tokens.count == 4)
        #expect(tokens.compactMap { $0["kind"]?.string } == ["text", "text", "text", "control"])
        #expect(report["text"]?.string == "7é<think>" && report["round_trip"]?.bool == true)
        let ids = tokens.compactMap { $0["id"]?.int }.map(String.init).joined(separator: ",")
        let back = try JSON.parse(try tokenize("tokens.h5", "--ids", ids, "--json", in: folder).output)
        #expect(back["tokens"] == report["tokens"] && back["round_trip"] == .null)
    }

    @Test func errorsAreOneLine() throws {
        let folder = try TemporaryFolder()
        let model = try modelFolder(template: "{{ 1 }}", in: folder)
        try folder.write("{", to: "broken.json")
        let cases: [(arguments: [String], message: String)] = [
            ([model, "--ids", "1,99999"], "no token has the id 99999; ids range from 0 to "),
            ([model, "--ids", "1;2"], "no token has the id 1;2"), ([model, "--ids", ","], "--ids has no id"),
            ([model, "x", "--ids", "1"], "--ids cannot be combined with a text"),
            ([model, "x", "--chat", "--plain"], "--chat and --plain cannot be combined"),
            (["broken.json", "x"], "broken.json: tokenizer.json is not valid JSON"),
            (["\(model)/tokenizer.json", "x", "--chat"], "tokenizer.json: a tokenizer.json has no chat template"),
            ([".", "x"], "no model.safetensors"), (["missing.h5", "x"], "missing.h5: cannot open it"),
        ]
        for (arguments, message) in cases {
            let result = try Command.run(Command.ckptPath, ["tokenize"] + arguments, in: folder)
            #expect(result.status == 2 && result.output.isEmpty, "\(arguments)")
            #expect(result.errors.hasPrefix("ckpt: error: ") && result.errors.contains(message), "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
    }

    /// Templates are untrusted: no command may run out of time or memory because of one.
    @Test(arguments: [
        ("{{ messages[0].nothing.at.all }}", "model.h5: chat template, line 1, column 23: "),
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}",
            "more time or memory"
        ),
        (
            "{% set n = namespace(x='abcdefgh') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
            "more time or memory"
        ),
        ("{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "nested too deeply"),
    ])
    func hostileTemplatesEndSoon(_ template: String, _ reason: String) throws {
        let folder = try TemporaryFolder()
        let model = try modelFolder(template: template, in: folder)
        #expect(try Command.ckpt("import", model, "-o", "model.h5", in: folder).status == 0)
        for arguments in [["tokenize", "model.h5", "x", "--chat"], ["generate", "model.h5", "--prompt", "x"]] {
            // Limits the address space to 3 GB; the program reserves 1 GB at start.
            let line = "ulimit -v 3000000; exec \(Command.ckptPath) \(arguments.joined(separator: " "))"
            let start = ContinuousClock.now
            let result = try Command.run("/bin/sh", ["-c", line], in: folder)
            #expect(ContinuousClock.now - start < .seconds(20))
            #expect(result.status == 2 && result.errors.contains(reason), "\(arguments): \(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
    }

    /// The tiny model with control tokens as a Hugging Face folder, with another chat template.
    private func modelFolder(template: String, in folder: TemporaryFolder) throws -> String {
        let name = "model-\(UUID().uuidString)"
        let source = try TinyRun.made.get().folder.path("tokens.h5")
        let result = try Command.ckpt("export", source, "-o", name, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        try folder.write(template, to: "\(name)/chat_template.jinja")
        return name
    }
}
