import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Runs the examples of each command's help as printed, and loads the completions in each shell.
@Suite struct HelpTests {
    static let verbs = [
        "import", "export", "init", "add-tokens", "resize-vocab", "cast", "rename", "extract", "graft", "merge",
        "strip", "config", "delta", "apply", "make-task", "distill", "check-data", "tokenize", "train-sft", "train-rl",
        "eval", "grade",
        "generate",
        "inspect",
        "diff", "verify", "runs",
    ]

    /// A folder with every file that the examples name, made from the tiny run.
    static let prepared = Result { try makeFolder() }

    /// A model whose tokenizer llama.cpp supports; it does not support that of the tiny run.
    private static let gguf = repositoryRoot.appending(
        path: "Tests/CheckpointIOTests/Fixtures/models/llama-quantised.gguf"
    ).path

    private static func makeFolder() throws -> TemporaryFolder {
        let run = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        let copies = [
            ("base.h5", "base.h5"), ("tokens.h5", "tokens.h5"), ("sft", "sft"), ("rl", "rl"), ("rl", "degrpo"),
            ("rl", "grpo"), ("sft/step-000006.h5", "sft/step-000020.h5"), ("rl/step-000004.h5", "rl/step-000005.h5"),
            ("sft/step-000006.h5", "model.h5"), ("sft/step-000002.h5", "donor.h5"), ("base.h5", "a.h5"),
            ("base.h5", "b.h5"), ("task/train.jsonl", "pairs.jsonl"), ("task/rl.jsonl", "problems.jsonl"),
            ("task/probe.jsonl", "probe.jsonl"),
            ("rl/rollouts/step-000004.jsonl", "rl/rollouts/step-000005.jsonl"),
        ]
        for (from, to) in copies {
            try FileManager.default.copyItem(atPath: run.path(from), toPath: folder.path(to))
        }
        // Only a few problems, since an untrained model gives long answers.
        let problems = try String(contentsOfFile: run.path("task/test.jsonl"), encoding: .utf8)
        try folder.write(problems.split(separator: "\n").prefix(3).map { $0 + "\n" }.joined(), to: "test.jsonl")
        try FileManager.default.copyItem(atPath: folder.path("test.jsonl"), toPath: folder.path("aime.jsonl"))
        try FileManager.default.copyItem(atPath: gguf, toPath: folder.path("SmolLM2-135M-Instruct.gguf"))
        try FileManager.default.copyItem(
            at: fixturesFolder().appending(path: "hdf5/keras.weights.h5"),
            to: folder.url.appending(path: "model.weights.h5"))
        try folder.write("{\"model_type\": \"llama\"}\n", to: "config.json")
        try folder.write("What is 6*7?", to: "prompt.txt")
        try folder.write(
            #"{"id": "1", "answer": "42", "response": "so \\boxed{42}"}"# + "\n", to: "samples_aime.jsonl")
        let recorded =
            #"{"problem": "6*7?", "answer": "42", "response": "<think>\n6*7=42\n</think>\n\nIt is \\boxed{42}."}"#
        for name in ["r1.jsonl", "openr1.jsonl"] { try folder.write(recorded + "\n", to: name) }
        try folder.write(
            """
            #!/bin/sh
            while read -r batch; do
                case $batch in *'"responses":[]'*) echo '{"results": []}' ;; *) echo '{"results": [true]}' ;; esac
            done

            """, to: "judge")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path("judge"))
        try folder.write("steps: 2\ndata: pairs.jsonl\n", to: "warm-up.yaml")
        for arguments in [["delta", "rl/step-000004.h5", "rl/step-000003.h5", "-o", "step-5.delta.h5"]] {
            let made = try Command.run(Command.ckptPath, arguments, in: folder)
            guard made.status == 0 else { throw CommandFailure(["ckpt"] + arguments, made) }
        }
        let made = try Command.ckpt("export", "base.h5", "-o", "SmolLM2-135M-Instruct", in: folder)
        guard made.status == 0 else { throw CommandFailure(["ckpt", "export"], made) }
        _ = try AdapterState.write(CheckpointFile(path: folder.path("base.h5")), to: folder.path("adapter.h5"))
        let adapter = try Command.ckpt("export", "adapter.h5", "--adapter", "-o", "lora", in: folder)
        guard adapter.status == 0 else { throw CommandFailure(["ckpt", "export", "--adapter"], adapter) }
        return folder
    }

    /// The lines of the help that begin with `ckpt`, joined with the lines that a backslash continues.
    private func examples(_ verb: String) throws -> [String] {
        let help = try Command.ckpt("help", verb, in: try Self.prepared.get()).output
        var examples: [String] = []
        var continues = false
        for line in help.split(separator: "\n") {
            if continues || line.hasPrefix("  ckpt ") {
                let text = line.hasSuffix("\\") ? String(line.dropLast()) : String(line)
                if continues { examples[examples.count - 1] += text } else { examples.append(text) }
                continues = line.hasSuffix("\\")
            }
        }
        return examples
    }

    @Test(arguments: verbs) func examplesRunAsPrinted(verb: String) throws {
        let prepared = try Self.prepared.get()
        let help = try Command.ckpt("help", verb, in: prepared).output
        let heading = help.components(separatedBy: "\n\n").dropFirst().first ?? ""
        #expect(heading.hasPrefix("Example"), "help of \(verb) does not begin with an example")
        let examples = try examples(verb)
        #expect(!examples.isEmpty)
        for example in examples {
            #expect(example.contains("ckpt \(verb) "))
            let folder = try TemporaryFolder()
            for name in try prepared.names() {
                try FileManager.default.copyItem(atPath: prepared.path(name), toPath: folder.path(name))
            }
            // The output of an example must not exist; a run to resume must be unfinished.
            let words = example.split(separator: " ").map(String.init)
            for (flag, output) in zip(words, words.dropFirst()) where flag == "-o" {
                try? FileManager.default.removeItem(atPath: folder.path(output))
            }
            if example.contains("--resume") {
                try FileManager.default.removeItem(atPath: folder.path("rl/step-000005.h5"))
            }
            if verb == "export", example.contains("gguf") {
                try Command.ckpt("import", Self.gguf, "-o", "rl/step-000005.h5", "--force", in: folder)
            }
            if verb == "export", example.contains("--adapter") {
                try FileManager.default.removeItem(atPath: folder.path("rl/step-000005.h5"))
                try FileManager.default.copyItem(
                    atPath: folder.path("adapter.h5"), toPath: folder.path("rl/step-000005.h5"))
            }
            let tool = URL(fileURLWithPath: Command.ckptPath).deletingLastPathComponent().path
            let result = try Command.run(
                "/bin/sh", ["-c", "PATH=\(tool):$PATH; " + example], in: folder)
            // A comparison may find differences, and the answers of an untrained teacher give no pair.
            let isNegative =
                result.status == 1 && (verb == "diff" || verb == "distill" && result.errors.contains("no pair kept"))
            #expect(result.status == 0 || isNegative, "\(example): \(result.status) \(result.errors)")
            #expect(!result.errors.contains("error"), "\(example): \(result.errors)")
        }
    }

    @Test func everyCommandOfTheHelpIsTested() throws {
        let help = try Command.ckpt("--help", in: try Self.prepared.get()).output
        let listed = help.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
        for verb in listed where !verb.hasPrefix("-") && !["ckpt", "help", "See"].contains(verb) {
            #expect(Self.verbs.contains(verb), "\(verb) has no tested example")
        }
    }

    @Test func versionNamesCompilerAndLibraries() throws {
        let output = try Command.ckpt("--version", in: try Self.prepared.get()).output
        #expect(output.hasPrefix("ckpt 0.1.0\nbuilt with Swift 6."))
        for name in ["zstd 1.", "OpenSSL ", "OpenBLAS ", "PCRE2 10."] { #expect(output.contains(name)) }
    }

    @Test(arguments: [
        (
            "/usr/bin/bash",
            "source <(ckpt --generate-completion-script bash) && complete -p ckpt && COMP_WORDS=(ckpt di) COMP_CWORD=1 "
                + "COMP_LINE='ckpt di' COMP_POINT=7 && _ckpt ckpt di ckpt; echo \"${COMPREPLY[@]}\""
        ),
        (
            "/usr/bin/zsh",
            "autoload -Uz compinit && compinit -u -D && ckpt --generate-completion-script zsh > _ckpt "
                + "&& fpath=($PWD $fpath) && autoload -Uz _ckpt && autoload +X _ckpt "
                + "&& functions _ckpt | grep -o 'diff' | head -1"
        ),
        (
            "/usr/bin/fish",
            "ckpt --generate-completion-script fish | source; and complete -C 'ckpt di'"
        ),
    ]) func completionsLoad(shell: String, script: String) throws {
        try #require(FileManager.default.isExecutableFile(atPath: shell), "scripts/test installs \(shell)")
        let tool = URL(fileURLWithPath: Command.ckptPath).deletingLastPathComponent().path
        let folder = try TemporaryFolder()
        let result = try Command.run(
            "/usr/bin/env", ["PATH=\(tool):/usr/bin:/bin", "HOME=\(folder.url.path)", shell, "-c", script], in: folder)
        #expect(result.output.contains("diff"), "\(shell): \(result.output) \(result.errors)")
        #expect(result.errors.isEmpty, "\(shell): \(result.errors)")
    }
}
