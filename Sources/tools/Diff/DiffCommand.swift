import ArgumentParser
import CheckpointIO
import DataFiles
import Foundation
import OrderedJSON
import Parallel
import Surgery
import TrainLoop

struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what training, surgery or quantisation changed between models of any format.",
        discussion: """
            Examples:
              ckpt diff tokens.h5 sft/step-000020.h5
              ckpt diff tokens.h5 sft/step-000020.h5 --probe probe.jsonl
              ckpt diff rl/ --html report.html
              ckpt diff degrpo/ grpo/
              ckpt diff grpo/ --probe probe.jsonl --modes '<think>' '</think>'
              ckpt diff SmolLM2-135M-Instruct/ SmolLM2-135M-Instruct.gguf

            Two files are compared by architecture, tokenizer, lineage, tensors, control tokens, mode preference and \
            the metrics of the run between them. --probe also runs both models and shows which mode they prefer and \
            where their predictions of the next token differ most. A run's folder, or more than two files, shows the \
            curve of the run and when each layer moved; two folders show two curves side by side.

            A model is a checkpoint, a Hugging Face folder, a .safetensors file or its index, a .gguf file, or the \
            folder of a PEFT adapter, in any mix; they are read in place. Quantised tensors are compared by the \
            values they stand for, with the error of each tensor and of its worst block.

            The folder of a run may be that of TRL, LLaMA-Factory or transformers (checkpoint-N), verl \
            (global_step_N/actor/huggingface) or prime-rl (weights/step_N); metrics come from trainer_state.json, \
            JSON lines, TensorBoard's event files or W&B's run-ID.wandb in it, or from --log. --probe asks every \
            checkpoint of a run. --modes takes any two texts as the modes, each of one token or several, in place of \
            <think> and <short>.

            With --server http://127.0.0.1:8000/v1, --probe compares the mode preference of models behind a server: a \
            checkpoint with --model NAME, or --model twice.

            Exit status: 0 the same model, 1 different models, 2 an error. Curves and --server exit with 0.
            """)

    @Argument(
        help: ArgumentHelp("Two models, a run's folder, or several models.", valueName: "path"),
        completion: .file())
    var paths: [String] = []

    @Option(
        name: .customLong("tensor"),
        help: ArgumentHelp("Compare only tensors with this name; * matches any characters.", valueName: "pattern"))
    var pattern: String?

    @Option(
        help: ArgumentHelp(
            "Run both models, or each of a run, on up to 64 of these problems or pairs (JSON lines), and two on the "
                + "answers of pairs.",
            valueName: "file"), completion: .file(extensions: ["jsonl", "json"]))
    var probe: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "With --probe: the texts with which two modes begin. Default: the control tokens.", valueName: "text"))
    var modes: [String] = []

    @Option(
        help: ArgumentHelp(
            "The log of another trainer's run, if it is not in its folder: JSON lines, event files, run-ID.wandb.",
            valueName: "path"), completion: .file())
    var log: String?

    @Flag(help: "Do not show when each layer moved, which takes reading every state of a curve.")
    var noWeights = false

    @Flag(help: "Print the report as JSON.")
    var json = false

    @Option(
        help: ArgumentHelp("Also write the report as a self-contained HTML page with plots.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var html: String?

    @Flag(help: "Replace the page if it exists.")
    var force = false

    @OptionGroup var models: ModelArguments

    @OptionGroup(title: "Server")
    var serving: ServedModelArguments

    func validate() throws {
        try serving.check()
        guard !paths.isEmpty || serving.server != nil else { throw ValidationError("give two checkpoints, or a run") }
        guard modes.isEmpty || modes.count == 2 else {
            throw ValidationError("--modes takes two texts; put the paths before it")
        }
        guard modes.isEmpty || probe != nil else {
            throw ValidationError("--modes needs --probe with the problems to ask")
        }
        guard modes.isEmpty || serving.server == nil else {
            throw ValidationError("--modes is for checkpoints; leave it out with --server")
        }
        guard serving.server != nil else { return }
        guard probe != nil else { throw ValidationError("--server needs --probe with the problems to ask") }
        guard pattern == nil, html == nil else {
            throw ValidationError("--tensor and --html are for checkpoints; leave them out with --server")
        }
        guard paths.count + max(1, serving.model.count) == 2 else {
            throw ValidationError("--server compares two models; give a checkpoint and --model, or --model twice")
        }
    }

    private var modeNames: ModeNames? {
        modes.count == 2 ? ModeNames(think: modes[0], short: modes[1]) : nil
    }

    mutating func run() throws {
        if let html { try OutputError.refuse(existing: html, replacing: force) }
        try models.check(paths)
        if serving.server != nil, let probe { return try compareServed(probe) }
        for path in paths where access(path, F_OK) != 0 {
            throw CheckpointError.system(path: path, operation: "open it", code: errno)
        }
        paths = paths.map { TrainerRun.model(inCheckpoint: $0) ?? $0 }
        let folders = paths.filter(RunSource.isRun)
        guard log == nil || paths.count == 1 && folders.count == 1 else {
            throw SurgeryError.badOption(name: "--log", reason: "goes with the folder of one run")
        }
        let isPair = paths.count == 2 && folders.isEmpty
        if !isPair, pattern != nil {
            throw SurgeryError.badOption(name: "--tensor", reason: "compares two checkpoints; give two files")
        }
        if isPair {
            try compare(paths[0], paths[1])
        } else if paths.count == 1, folders.count == 1 {
            try show([try RunSource(folder: paths[0], log: log, models)])
        } else if paths.count == 2, folders.count == 2 {
            try show(paths.map { try RunSource(folder: $0, log: nil, models) })
        } else if paths.count > 2, folders.isEmpty {
            let files = try paths.map { try models.open($0) }
            try show([try RunSource(files, path: "\(paths[0]) … \(paths[paths.count - 1])")])
        } else {
            throw SurgeryError.badOption(
                name: "diff", reason: "give two checkpoints, one or two run folders, or more than two checkpoints")
        }
    }

    private func compare(_ pathA: String, _ pathB: String) throws {
        // Parsing a tokenizer of another format takes as long as comparing a small model.
        let base = models.base
        let (a, b) = try ParallelWork.both(
            { try ModelReader.open(pathA, base: base) }, { try ModelReader.open(pathB, base: base) })
        var options = ComparisonOptions()
        if let pattern {
            let pattern = NamePattern(pattern)
            guard (a.tensors() + b.tensors()).contains(where: { pattern.matches($0.description.name) }) else {
                throw SurgeryError.badOption(
                    name: "--tensor \(self.pattern ?? "")",
                    reason: "matches no tensor; `ckpt inspect --tensors` lists them")
            }
            options.includesTensor = { pattern.matches($0) }
        }
        let bar = ProgressBar("comparing", total: CheckpointComparison.byteCount(a, b), unit: .bytes)
        var report = try CheckpointComparison.compare(a, b, options: options, progress: { bar.update($0) })
        bar.finish()
        let behavior = try probe.map { try ask(a, b, $0, &report) }
        try writePage(ComparisonPage(report: report, behavior: behavior, modes: modeNames).html)
        if json {
            var json = report.json
            if let behavior { json["behavior"] = behavior.json }
            if !modes.isEmpty { json["modes"] = .array(modes.map { .string($0) }) }
            print(json: json)
        } else {
            print(lines: ComparisonText(report: report, behavior: behavior, modes: modeNames).lines)
        }
        if !report.isSame { throw ExitCode(1) }
    }

    /// Compares the mode preference of models of which at least one is behind a server.
    private func compareServed(_ path: String) throws {
        let checkpoints = try paths.map { PreferenceSubject.checkpoint(try models.open($0)) }
        let subjects = checkpoints + (try serving.models().map { .served($0) })
        let bar = ProgressBar("asking", total: 2, unit: .count("models"))
        bar.begin()
        defer { bar.finish() }
        let report = try PreferenceReport(subjects[0], subjects[1], probe: path) { bar.update($0) }
        if json { print(json: report.json) } else { print(lines: report.lines) }
    }

    private func ask(
        _ a: CheckpointFile, _ b: CheckpointFile, _ path: String, _ report: inout ComparisonReport
    ) throws -> BehaviorComparison {
        let bar = ProgressBar("asking", total: 2, unit: .count("models"))
        bar.begin()
        defer { bar.finish() }
        let behavior = try BehaviorComparison(a, b, probe: path, modes: modeNames, progress: { bar.update($0) })
        // The measurement replaces the recorded snapshots, even if one of the models has no preference.
        report.modePreference = behavior.preferenceA.flatMap { left in
            behavior.preferenceB.flatMap { ModePreferenceChange(left, $0) }
        }
        return behavior
    }

    /// Shows one run with the changes of its weights, or two runs.
    private func show(_ sources: [RunSource]) throws {
        var sources = sources
        for index in sources.indices {
            if let probe { try sources[index].ask(probe, modes: modeNames) }
            if sources.count == 1, !noWeights { try sources[index].compareWeights() }
            for note in sources[index].notes { Terminal.warn("\(sources[index].curve.path): \(note)") }
        }
        let curves = sources.map(\.curve)
        try writePage(CurvePage(curves: curves).html)
        if json {
            print(json: curves.count == 1 ? curves[0].json : .array(curves.map(\.json)))
        } else if curves.count == 2 {
            print(lines: OverlayText(a: curves[0], b: curves[1]).lines)
        } else {
            print(lines: curves.flatMap { CurveText(curve: $0).lines })
        }
    }

    /// Writes the page atomically.
    private func writePage(_ text: @autoclosure () -> String) throws {
        guard let html else { return }
        do {
            try AtomicFile.write(text(), to: html, overwrite: force)
        } catch {
            throw PageError(path: html)
        }
    }
}

struct PageError: Error, CustomStringConvertible {
    let path: String

    var description: String { "\(path): the page cannot be written; check that its folder exists and is writable" }
}
