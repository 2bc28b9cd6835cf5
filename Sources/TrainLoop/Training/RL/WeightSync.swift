import CheckpointIO
import Foundation
import Transformer

/// Brings the weights of a run to the servers that sample, through files that the servers read.
final class WeightSync {
    /// How the servers get new weights.
    private enum Method {
        case command(String)
        /// Each server loads a Hugging Face folder.
        case folder
        /// vLLM loads the adapter alone.
        case adapter
    }

    private(set) var servers: [RolloutServer]
    private let settings: RolloutServers
    private let method: Method
    /// The absolute path of the folder with the files.
    private let folder: String
    /// The names of the newest files.
    private var newest: [String] = []
    /// The step whose weights the servers have.
    private var step: Int?
    /// The seconds that the last weights took.
    private(set) var seconds = 0.0
    /// The seconds that a command, and servers that start, may take.
    private static let patience = 3600.0

    /// Connects to the servers and brings them the weights of `state`.
    ///
    /// With a command, the command is run first, since it may start the servers.
    ///
    /// - Parameters:
    ///   - settings: the servers.
    ///   - state: the weights.
    ///   - runFolder: the folder of the run, in which the files for the servers get a folder of their own.
    ///   - options: the adapters of the run, if it has any.
    /// - Throws: `SamplingFailure`, and errors of writing.
    init(_ settings: RolloutServers, _ state: TrainingState, in runFolder: RunFolder, _ options: RLOptions) throws {
        self.settings = settings
        folder = URL(fileURLWithPath: runFolder.path + "/served").standardizedFileURL.path
        try AtomicFile.refuseLink(at: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // What an earlier run left there.
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        newest = names.filter { $0.hasPrefix("step-") }
        if let command = settings.syncCommand {
            method = .command(command)
            servers = []
            try send(state)
            servers = try Self.named { try settings.connect(within: Self.patience) }
            return
        }
        servers = try Self.named { try settings.connect(within: 0) }
        if let llama = servers.first(where: { $0.kind == .llama }) {
            throw SamplingFailure(reason: "\(RolloutServer.cannotLoad(llama.address))")
        }
        let hasOnlyAdapters = options.optimizer.adapters.map { !$0.trainsControlRows } ?? false
        method = hasOnlyAdapters && servers.allSatisfy { $0.kind == .vLLM } ? .adapter : .folder
        try send(state)
    }

    /// How the servers get new weights, as a phrase.
    var description: String {
        switch method {
        case .command: "new weights by --sync-command"
        case .folder: "new weights from \(folder)"
        case .adapter: "new adapters from \(folder)"
        }
    }

    /// Brings the servers the weights of `state`, unless they have them.
    ///
    /// - Throws: `SamplingFailure`, and errors of writing.
    func send(_ state: TrainingState) throws {
        guard step != state.step else { return }
        let start = ContinuousClock.now
        let old = newest
        let name = RunFolder.name(ofStep: state.step)
        let path = "\(folder)/\(name).h5"
        newest = [name + ".h5"]
        try state.saveModel(to: path, withAdapter: isAdapter)
        switch method {
        case .command(let command):
            try SyncCommand(command: command, log: folder + "/command.log").run(
                weights: path, step: state.step, seconds: Self.patience)
            if !servers.isEmpty { servers = try Self.named { try settings.connect(within: Self.patience) } }
        case .folder:
            let file = try CheckpointFile(path: path)
            try HuggingFaceExport.write(
                file.metadata, CheckpointTensors(file), to: "\(folder)/\(name)", overwrite: true)
            newest.append(name)
            let (path, step) = ("\(folder)/\(name)", state.step)
            try load { try await $0.loadWeights(from: path, version: step) }
        case .adapter:
            let file = try CheckpointFile(path: path)
            _ = try PEFTExport.write(file, baseModel: nil, to: "\(folder)/\(name)", overwrite: true)
            newest.append(name)
            let path = "\(folder)/\(name)"
            try load { try await $0.loadAdapter(from: path, named: "ckpt") }
        }
        for name in old where !newest.contains(name) { remove(name) }
        step = state.step
        seconds = Double((ContinuousClock.now - start) / .seconds(1))
    }

    private func remove(_ name: String) { try? FileManager.default.removeItem(atPath: "\(folder)/\(name)") }

    private var isAdapter: Bool { if case .adapter = method { true } else { false } }

    private func load(_ body: @escaping @Sendable (RolloutServer) async throws -> Void) throws {
        try Self.named {
            try ConcurrentRequests.forEach(servers, atOnce: servers.count, ask: body, receive: { _, _ in })
        }
    }

    private static func named<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw SamplingFailure(reason: "\(error)") }
    }
}

/// The command of `--sync-command`.
private struct SyncCommand {
    let command: String
    /// What the command writes to stdout and stderr.
    let log: String

    /// Runs the command with `CKPT_WEIGHTS` and `CKPT_STEP` in its environment, and waits for its end.
    ///
    /// Its output goes to a file, because a server that it starts may keep the stream open. It runs in a process group
    /// of its own, so that an interrupt at the terminal does not reach such a server.
    ///
    /// - Throws: `SamplingFailure` if it fails or takes too long.
    func run(weights: String, step: Int, seconds: Double) throws {
        let named = "--sync-command `\(command.onOneLine(limit: 200))`"
        let descriptor = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw CheckpointError.system(path: log, operation: "create the file", code: errno)
        }
        defer { close(descriptor) }
        let nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(nowhere) }
        let process: pid_t
        do {
            process = try ProcessGroup.spawn(
                "/bin/sh", ["/bin/sh", "-c", command], in: 0, streams: [nowhere, descriptor, descriptor],
                environment: ["CKPT_WEIGHTS": weights, "CKPT_STEP": String(step)])
        } catch { throw SamplingFailure(reason: "\(named) cannot be started: \(error)") }
        let deadline = ContinuousClock.now + .seconds(seconds)
        var status: Int32 = 0
        while waitpid(process, &status, WNOHANG) == 0 {
            guard ContinuousClock.now < deadline else {
                kill(-process, SIGKILL)
                waitpid(process, &status, 0)
                throw SamplingFailure(
                    reason: "\(named) has not ended within \(Int(seconds)) s; start servers in the background (&)")
            }
            usleep(20_000)
        }
        let signal = status & 0x7F
        guard status == 0 else {
            let ending = signal == 0 ? "exited with status \(status >> 8)" : "was ended by signal \(signal)"
            throw SamplingFailure(reason: "\(named) \(ending)\(lastLine); its output is in \(log)")
        }
    }

    /// The last line of the output as a phrase; empty if there is none.
    private var lastLine: String {
        guard let bytes = try? FileHandle(forReadingAtPath: log)?.readToEnd() else { return "" }
        let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n")
        return lines.last.map { "; it ends with \"\(String($0).onOneLine(limit: 200))\"" } ?? ""
    }
}

extension TrainingState {
    /// Saves the model alone, or the model with its adapter, without moments and training state.
    ///
    /// - Throws: errors of writing.
    func saveModel(to path: String, withAdapter: Bool) throws {
        var metadata = metadata
        metadata.kind = .model
        metadata.step = step
        metadata.optimizer = nil
        metadata.trainingState = nil
        metadata.adaptedWeights = [:]
        var tensors = adapted?.mergedTensors ?? Self.tensors(.weights, parameters)
        if let adapted, withAdapter {
            tensors += adapted.baseTensors + Self.tensors(.adapter, parameters)
        } else {
            metadata.adapter = nil
        }
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: true)
    }
}
