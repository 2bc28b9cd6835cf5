import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Data files of several formats and forms, as commands read them.
@Suite struct DataFileTests {
    private func shell(_ script: String, in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run("/bin/sh", ["-c", script], in: folder, environment: ["CKPT": Command.ckptPath])
    }

    private static let pairs =
        "q;think;short\n1+1=;\"2\n</think>2\";2\n2+2=;\"4\n</think>4\";4\n3+3=;\"6\n</think>6\";6\n"

    @Test func systemMessagesAreRenderedByTheTemplate() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        let row = #"{"messages":[{"role":"system","content":"9+9="},{"role":"user","content":"1+1="},"#
        try folder.write(
            row + #"{"role":"assistant","content":"<short>\n2"}]}"# + "\n"
                + row + #"{"role":"assistant","content":"<think>\n2</think>2"}]}"#, to: "pairs.jsonl")
        let result = try Command.ckpt("check-data", "pairs.jsonl", "--model", whole.path("tokens.h5"), in: folder)
        #expect(result.output.contains("\n9+9=1+1=»<short>\n2"), "\(result.output)\(result.errors)")
    }

    /// A pipe is copied to a file without a name.
    @Test func copyOfAPipeHasNoName() throws {
        let folder = try TemporaryFolder()
        try folder.write(#"{"problem": "1+1=", "answer": "2"}"# + "\n", to: "rows.jsonl")
        let copies = folder.path("copies")
        try FileManager.default.createDirectory(atPath: copies, withIntermediateDirectories: false)
        // Two pauses, so that the copy is there while the folder is listed.
        let whole = try shell(
            "(cat rows.jsonl; sleep 0.5; ls -A copies >&2; sleep 0.2) | TMPDIR=copies \"$CKPT\" check-data -",
            in: folder)
        #expect(whole.status == 0, "\(whole.errors)")
        #expect(!whole.errors.contains("ckpt-"), "\(whole.errors)")
        let missing = try shell("cat rows.jsonl | TMPDIR=missing \"$CKPT\" check-data -", in: folder)
        #expect(missing.status == 2)
        #expect(missing.errors.contains("missing/: cannot write: no such file or directory"), "\(missing.errors)")
    }

    @Test func trainingReadsStandardInputWithOtherNames() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try folder.write(Self.pairs, to: "pairs.csv")
        try folder.write("map: problem=q\nsteps: 1\ndry-run: true\n", to: "options.yaml")
        let result = try shell(
            "gzip -c pairs.csv | \"$CKPT\" train-sft '\(whole.path("tokens.h5"))' --data - --config options.yaml",
            in: folder)
        #expect(result.status == 0 && result.errors.contains("3 pairs to train on"), "\(result.errors)")
        let wrong = try shell(
            "\"$CKPT\" train-sft '\(whole.path("tokens.h5"))' --data pairs.csv --map problem=p --dry-run", in: folder)
        #expect(wrong.status == 2)
        #expect(
            wrong.errors
                == "ckpt: error: pairs.csv, line 2: --map: there is no field \"p\"; the row has q, think, short\n")
    }

    @Test func checkDataShowsFieldsAndFirstRows() throws {
        let folder = try TemporaryFolder()
        try folder.write(Self.pairs, to: "pairs.csv")
        let text = try Command.ckpt("check-data", "pairs.csv", "--map", "problem=q", "--rows", "1", in: folder)
        #expect(
            text.output.hasPrefix(
                """
                CSV, 3 rows
                  field  type         rows
                  q      text            3
                  think  text            3
                  short  text            3
                line 2
                  q: 1+1=
                  think: 2⏎</think>2
                  short: 2
                3 pairs

                """), "\(text.output)\(text.errors)")
        let json = try Command.ckpt("check-data", "pairs.csv", "--schema", "--json", in: folder)
        let report = try JSON.parse(json.output)
        #expect(report["format"] == "CSV" && report["rows"] == 3 && report["first_rows"]?.array?.count == 2)
        // Fields are shown also where no row can be read.
        let unread = try Command.ckpt("check-data", "pairs.csv", in: folder)
        #expect(unread.status == 2 && unread.output.contains("  q      text            3\n"))
        #expect(unread.errors.hasPrefix("ckpt: error: pairs.csv, line 2: no problem found;"), "\(unread.errors)")
    }
}
