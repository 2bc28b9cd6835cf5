import Foundation
import OrderedJSON

/// The folder of a run of another trainer: its checkpoints, and the metrics of its log.
///
/// | trainer | checkpoints | log |
/// |---|---|---|
/// | TRL, LLaMA-Factory, transformers | `checkpoint-N/` | `trainer_state.json` of the newest checkpoint |
/// | verl | `global_step_N/actor/huggingface/` or a converted folder | `PROJECT/EXPERIMENT.jsonl` of the file logger |
/// | prime-rl | `weights/step_N/` | W&B's local file |
///
/// A log may also be JSON lines with a step, TensorBoard's event files, or W&B's `run-ID.wandb`. verl writes its logs
/// beside the folder of all checkpoints, `checkpoints/PROJECT/EXPERIMENT`, where they are found by both names.
package struct TrainerRun: Sendable {
    /// A checkpoint in the form of Hugging Face: the folder of a model or an adapter.
    package struct Checkpoint: Sendable {
        package let step: Int
        package let path: String
        /// The base model of an adapter that stands in the same folder as the adapter's; nil otherwise.
        package let base: String?
    }

    package let path: String
    /// What trained, as far as the files tell.
    package let trainer: String
    /// By step.
    package let checkpoints: [Checkpoint]
    package let metrics: MetricTable
    /// The steps that the run was to make, if its log says so.
    package let totalSteps: Int?
    /// The files that the metrics come from.
    package let logs: [String]
    /// Checkpoints whose weights are in shards that only their trainer reads.
    package let unconverted: [Checkpoint]

    /// Whether a folder has checkpoints of another trainer.
    package static func isRun(_ path: String) -> Bool { !Layout(path).states.isEmpty }

    /// The model in the folder of one checkpoint, such as `global_step_3` or `global_step_3/actor`; nil if the folder
    /// is a model itself, or has none.
    package static func model(inCheckpoint path: String) -> String? {
        let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
        guard folder.split(separator: "/").suffix(2).contains(where: { Layout.step(of: String($0)) != nil }),
            let model = Layout.model(in: folder)
        else { return nil }
        return model.path == folder || model.base != nil ? nil : model.path
    }

    /// Reads the log and lists the checkpoints.
    ///
    /// - Parameters:
    ///   - path: the folder of the run.
    ///   - log: the log or its folder, if it stands elsewhere.
    /// - Throws: `DataFileError` if the folder has no checkpoints, or its log cannot be read or is damaged.
    package init(path: String, log: String? = nil) throws {
        let layout = Layout(path)
        guard !layout.states.isEmpty else {
            throw DataFileError(
                path: path,
                reason:
                    "has no checkpoints of a trainer; give the folder with checkpoint-N or global_step_N")
        }
        self.path = path
        var checkpoints: [Checkpoint] = []
        var unconverted: [Checkpoint] = []
        for (step, folder) in layout.states {
            if let model = Layout.model(in: folder) {
                checkpoints.append(Checkpoint(step: step, path: model.path, base: model.base))
            } else {
                unconverted.append(Checkpoint(step: step, path: folder, base: nil))
            }
        }
        self.checkpoints = checkpoints
        self.unconverted = unconverted
        (metrics, totalSteps, logs) = try log.map(Layout.metrics(at:)) ?? layout.metrics()
        trainer = layout.trainer(metrics)
    }

    /// The step of the newest checkpoint.
    package var newestStep: Int? { (checkpoints + unconverted).map(\.step).max() }
}

/// Where the parts of a run are.
private struct Layout {
    let path: String
    let names: [String]
    /// The folders of the checkpoints by step.
    let states: [(step: Int, path: String)]

    /// Folders in which checkpoints stand, from the most telling.
    private static let places = ["", "weights", "checkpoints"]
    /// Where in a checkpoint the model stands.
    private static let models = [
        "", "actor/lora_adapter", "actor/huggingface", "huggingface", "hf_model", "model", "actor", "policy",
    ]
    private static let maximumLogs = 64

    init(_ path: String) {
        self.path = path.hasSuffix("/") ? String(path.dropLast()) : path
        names = Self.names(in: path)
        var states: [(step: Int, path: String)] = []
        for place in Self.places where states.isEmpty {
            let folder = place.isEmpty ? self.path : self.path + "/" + place
            states = (place.isEmpty ? names : Self.names(in: folder)).compactMap { name in
                guard let step = Self.step(of: name), Self.isFolder(folder + "/" + name) else { return nil }
                return (step, folder + "/" + name)
            }
            // Folders of something else, such as samples by step, are no checkpoints. Of those that verl removes, the
            // state of the data loader stays.
            states = states.filter { Self.model(in: $0.path) != nil || Self.isSharded($0.path) }
        }
        self.states = states.sorted { ($0.step, $0.path) < ($1.step, $1.path) }
    }

    static func step(of name: String) -> Int? {
        guard let match = name.wholeMatch(of: /(?:checkpoint|global_step|step)[-_](\d{1,12})/) else {
            return nil
        }
        return Int(match.1)
    }

    /// The folder of the model in the folder of a checkpoint, and the folder of its base if it is an adapter with its
    /// base around it, as verl's model_merger writes them; nil if there is none in the form of Hugging Face.
    static func model(in folder: String) -> (path: String, base: String?)? {
        // verl saves the model of a LoRA run under PEFT's names, which nothing loads.
        let hasInnerNames = ["", "/actor"].contains { isFile(folder + $0 + "/lora_train_meta.json") }
        for path in models.map({ $0.isEmpty ? folder : folder + "/" + $0 }) {
            let names = names(in: path)
            if names.contains("adapter_config.json") { return (path, nil) }
            if hasInnerNames { continue }
            let hasWeights = names.contains {
                $0.hasSuffix(".safetensors") || $0.hasSuffix(".safetensors.index.json")
            }
            guard names.contains("config.json"), hasWeights else { continue }
            let adapter = path + "/lora_adapter"
            return isFile(adapter + "/adapter_config.json") ? (adapter, path) : (path, nil)
        }
        return nil
    }

    /// Whether a checkpoint holds shards of PyTorch's, as verl saves them.
    private static func isSharded(_ folder: String) -> Bool {
        ["", "/actor", "/trainer"].contains { place in
            names(in: folder + place).contains {
                $0.hasSuffix(".pt") && !$0.hasPrefix("data") || $0.hasSuffix(".distcp")
            }
        }
    }

    /// The first log that has metrics, in the order from the most complete, and the steps that it says are to be made.
    func metrics() throws -> (MetricTable, totalSteps: Int?, [String]) {
        let newest = states.last.map { [$0.path + "/trainer_state.json"] } ?? []
        let states = ([path + "/trainer_state.json"] + newest).filter(Self.isFile)
        let lines = [path, path + "/monitors/file"].flatMap(Self.lines(in:)).filter {
            Self.hasLogName($0) || Self.hasRowOfVerl($0)
        }
        // metrics.jsonl first; other lines may be samples.
        let sorted = lines.sorted { left, right in
            (left.hasSuffix("/metrics.jsonl") ? 0 : 1, left) < (
                right.hasSuffix("/metrics.jsonl") ? 0 : 1, right
            )
        }
        var totalSteps: Int?
        for file in states.suffix(1) {
            var table = MetricTable()
            totalSteps = try JSONMetrics.readTrainerState(file, into: &table)
            if !table.isEmpty { return (table, totalSteps, [file]) }
        }
        // Files in other folders may be data, whatever their names.
        let folders = names.map { path + "/" + $0 }.filter(Self.isFolder)
        let below = folders.flatMap(Self.lines(in:)).filter(Self.hasRowOfVerl)
        for file in sorted + below + [verlFile].compactMap(\.self) {
            var table = MetricTable()
            try JSONMetrics.readLines(file, into: &table)
            if !table.isEmpty { return (table, totalSteps, [file]) }
        }
        if let found = try Self.table(path) { return (found.table, totalSteps, found.files) }
        if let events = verlEvents, let found = try Self.table(events) { return (found.table, totalSteps, found.files) }
        return (MetricTable(), totalSteps, [])
    }

    /// The metrics of TensorBoard's event files below a folder, or else of W&B's files.
    private static func table(_ folder: String) throws -> (table: MetricTable, files: [String])? {
        let found = files(below: folder)
        func table(
            _ isLog: (String) -> Bool, _ read: (String, inout MetricTable) throws -> Void
        ) throws -> (MetricTable, [String])? {
            let files = found.filter { isLog(name(of: $0)) }.suffix(maximumLogs)
            var table = MetricTable()
            for file in files { try read(file, &table) }
            return table.isEmpty ? nil : (table, Array(files))
        }
        return try table({ $0.contains(".tfevents.") }, EventFile.read)
            ?? table({ $0.hasSuffix(".wandb") }, WandbFile.read)
    }

    /// The metrics of a log that is given: a file, or a folder with files of TensorBoard or W&B.
    ///
    /// - Throws: `DataFileError` if it cannot be read, is damaged or has no metrics.
    static func metrics(at log: String) throws -> (MetricTable, totalSteps: Int?, [String]) {
        var (table, totalSteps, files) = (MetricTable(), Int?.none, [log])
        if isFolder(log) {
            if let found = try Self.table(log) { (table, files) = found }
        } else if log.hasSuffix(".wandb") {
            try WandbFile.read(log, into: &table)
        } else if name(of: log).contains(".tfevents.") {
            try EventFile.read(log, into: &table)
        } else if log.hasSuffix(".json") {
            totalSteps = try JSONMetrics.readTrainerState(log, into: &table)
        } else {
            try JSONMetrics.readLines(log, into: &table)
        }
        guard !table.isEmpty else { throw DataFileError(path: log, reason: "has no metrics with a step") }
        return (table, totalSteps, files)
    }

    /// Where verl began, and the names of project and experiment, by its place for checkpoints:
    /// `checkpoints/PROJECT/EXPERIMENT`.
    private var verlNames: (folder: String, project: String, experiment: String)? {
        var parts = URL(fileURLWithPath: path).standardizedFileURL.pathComponents
        guard let experiment = parts.popLast(), let project = parts.popLast(), parts.popLast() == "checkpoints" else {
            return nil
        }
        return (NSString.path(withComponents: parts), project, experiment)
    }

    /// What verl's file logger wrote.
    private var verlFile: String? {
        verlNames.map { "\($0.folder)/\($0.project)/\($0.experiment).jsonl" }.flatMap { Self.isFile($0) ? $0 : nil }
    }

    /// The folder with the event files of verl.
    private var verlEvents: String? {
        verlNames.map { "\($0.folder)/tensorboard_log/\($0.project)/\($0.experiment)" }
            .flatMap { Self.isFolder($0) ? $0 : nil }
    }

    /// The files of JSON lines in a folder.
    private static func lines(in folder: String) -> [String] {
        names(in: folder).filter { $0.hasSuffix(".jsonl") }.map { folder + "/" + $0 }.filter(isFile)
    }

    /// Whether the name of a file with JSON lines is that of a log, not of samples.
    private static func hasLogName(_ path: String) -> Bool {
        let name = name(of: path)
        return name.contains("metric") || name.contains("log") || name.contains("train")
    }

    /// Whether the first line of a file is a row of verl's file logger.
    private static func hasRowOfVerl(_ path: String) -> Bool {
        guard var reader = try? LineReader(path: path), let line = try? reader.next(),
            let row = try? JSON.parse(String(decoding: line, as: UTF8.self))
        else { return false }
        return row["step"]?.int != nil && row["data"]?.object != nil
    }

    func trainer(_ metrics: MetricTable) -> String {
        let name = states.last.map { Self.name(of: $0.path) } ?? ""
        if name.hasPrefix("global_step") { return "verl" }
        if names.contains("trainer_log.jsonl") || names.contains("training_args.yaml") {
            return "LLaMA-Factory"
        }
        if name.hasPrefix("checkpoint") {
            let isTRL = metrics.names.contains { name in
                name.hasPrefix("rewards/") || name.hasPrefix("completions/")
                    || name == "mean_token_accuracy"
            }
            return isTRL ? "TRL" : "transformers"
        }
        return states.last.map { $0.path.contains("/weights/") } == true
            ? "prime-rl" : "another trainer's"
    }

    // MARK: - Files

    private static func name(of path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    private static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    private static func kind(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    private static func isFolder(_ path: String) -> Bool { kind(path) == S_IFDIR }
    private static func isFile(_ path: String) -> Bool { kind(path) == S_IFREG }

    /// The files in a folder and up to five levels below, sorted by path; links to folders are not followed.
    private static func files(below folder: String) -> [String] {
        var found: [String] = []
        var waiting = [(folder, 0)]
        var seen = 0
        while let (next, depth) = waiting.popLast(), seen < 100_000 {
            for name in names(in: next) {
                seen += 1
                let path = next + "/" + name
                var status = stat()
                guard lstat(path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR, depth < 5 { waiting.append((path, depth + 1)) }
                if status.st_mode & S_IFMT == S_IFREG { found.append(path) }
            }
        }
        return found.sorted()
    }
}
