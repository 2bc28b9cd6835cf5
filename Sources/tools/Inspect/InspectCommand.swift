import ArgumentParser
import CheckpointIO
import DataFiles
import OrderedJSON
import TrainLoop

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what is in a model of any format, in the folder of a run, or in any HDF5 file.",
        discussion: """
            Examples:
              ckpt inspect rl/step-000005.h5
              ckpt inspect model.h5 model.layers.0
              ckpt inspect rl/
              ckpt inspect rl/step-000005.h5 history/rl > curves.tsv
              ckpt inspect model.h5 chat_template
              ckpt inspect SmolLM2-135M-Instruct.gguf --tensors

            Without a path, shows the model, its sizes, tokenizer, lineage, training state, latest metrics and mode \
            preference, without reading the tensors.

            A path selects one part: a tensor, or all tensors whose names begin with it, to show statistics of their \
            values; history/PHASE or probe, to print a table with tab-separated columns; or config, generation_config, \
            chat_template, training/state, lineage, tokenizer/json or tokenizer/config, to print that text unchanged.

            Of the folder of a run, shows its states, its last metrics, how it ended and what resumes it; of a run of \
            TRL, LLaMA-Factory, verl or prime-rl, its checkpoints and last metrics.

            Other models are read in place: Hugging Face folders, .safetensors and .gguf files, PEFT adapters with \
            their base. Tensors have Hugging Face's names there.

            Of an HDF5 file of another program or a .keras archive, shows the groups, datasets and attributes, below \
            PATH if it is given.
            """)

    @Argument(
        help: ArgumentHelp("The \(ModelArguments.formats) to show.", valueName: "model"), completion: .file())
    var file: String

    @Argument(
        help: ArgumentHelp("A tensor, the beginning of several tensor names, a table or a text.", valueName: "path"))
    var path: String?

    @Flag(help: "Read all tensors and show their statistics.")
    var tensors = false

    @Flag(help: "Print the result as JSON (schemas/inspect-report.schema.json).")
    var json = false

    @OptionGroup var models: ModelArguments

    mutating func run() throws {
        try models.check([file])
        if RunStatus.isRun(file) {
            guard path == nil, !tensors else { throw InspectError.partOfRun(file) }
            let text = RunText(status: try RunStatus(path: file))
            return json ? print(json: text.json) : print(lines: text.lines)
        }
        if TrainerRun.isRun(file) {
            guard path == nil, !tensors else { throw InspectError.partOfRun(file) }
            let text = try TrainerRunText(path: file)
            return json ? print(json: text.json) : print(lines: text.lines)
        }
        if try ForeignHDF5File.isForeign(file) {
            let text = try ForeignHDF5Text(try ForeignHDF5File(path: file), at: path)
            return json ? print(json: text.json) : print(text.lines.joined(separator: "\n"))
        }
        let file = try models.open(file)
        if let path {
            if let text = try Self.text(at: path, in: file) {
                guard !json else { throw InspectError.textAsJSON(path) }
                return print(unchanged: text)
            }
            if let table = try ColumnTable(at: path, in: file) {
                return json ? print(json: table.json) : print(table.lines.joined(separator: "\n"))
            }
            try show(Self.tensors(at: path, in: file), of: file)
        } else if tensors {
            try show(TensorGroup.allCases.flatMap { file.tensors(in: $0) }, of: file)
        } else {
            let summary = CheckpointSummary(file)
            if json {
                print(json: summary.json)
            } else {
                print(lines: SummaryText(summary: summary).lines)
            }
        }
    }

    private func show(_ tensors: [StoredTensor], of file: CheckpointFile) throws {
        let bar = ProgressBar(
            "reading", total: tensors.reduce(0) { $0 + $1.description.byteCount }, unit: .bytes)
        var rows: [(StoredTensor, TensorStatistics)] = []
        var done = 0
        for tensor in tensors {
            rows.append((tensor, try file.statistics(of: tensor)))
            done += tensor.description.byteCount
            bar.update(done)
        }
        bar.finish()
        let table = TensorTable(rows: rows)
        if json {
            print(json: table.json)
        } else {
            for line in table.lines { print(line) }
        }
    }

    /// The text of the file that `path` names; nil if it does not name a text.
    ///
    /// - Throws: `InspectError.absent` if the file does not have that text.
    private static func text(at path: String, in file: CheckpointFile) throws -> String? {
        let metadata = file.metadata
        let texts: [String: String?] = [
            "config": metadata.config, "generation_config": metadata.generationConfig,
            "chat_template": metadata.chatTemplate, "training/state": metadata.trainingState,
            "lineage": metadata.lineage.joined(separator: "\n"),
            "tokenizer/json": metadata.tokenizer.map { String(decoding: $0.json, as: UTF8.self) },
            "tokenizer/config": metadata.tokenizer?.config,
        ]
        guard let entry = texts[path.hasPrefix("/") ? String(path.dropFirst()) : path] else { return nil }
        guard let text = entry else { throw InspectError.absent(file: file.path, path: path) }
        return text
    }

    /// The tensor whose name or HDF5 path is `path`, or all tensors whose names begin with `path` and a separator.
    ///
    /// - Throws: `CheckpointError.noTensor` if there is none.
    private static func tensors(at path: String, in file: CheckpointFile) throws -> [StoredTensor] {
        let all = TensorGroup.allCases.flatMap { file.tensors(in: $0) }
        let path = file.metadata.tiedTensors[path] ?? path
        let found = all.filter { tensor in
            let name = path.hasPrefix("/") ? tensor.path : tensor.description.name
            let separator = path.hasPrefix("/") ? "/" : "."
            return name == path || name.hasPrefix(path.hasSuffix(separator) ? path : path + separator)
        }
        guard !found.isEmpty else { throw CheckpointError.noTensor(path: file.path, name: path) }
        return found
    }
}

enum InspectError: Error, CustomStringConvertible {
    case absent(file: String, path: String)
    case textAsJSON(String)
    case partOfRun(String)

    var description: String {
        switch self {
        case .partOfRun(let run):
            "\(run): is the folder of a run; leave out PATH and --tensors, or give one of its checkpoints"
        case .textAsJSON(let path): "--json: \(path) is a text, which is printed unchanged; leave out --json"
        case .absent(let file, let path): "\(file): has no \(path); `ckpt inspect` without a path shows what it has"
        }
    }
}
