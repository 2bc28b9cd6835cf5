import ArgumentParser
import CheckpointIO
import TrainLoop
import Transformer

/// Where a training run starts, goes on, and ends up: the same for both stages.
struct RunArguments: ParsableArguments {
    @Argument(help: "The checkpoint to start from.", completion: .file(extensions: ["h5"]))
    var input: String?

    @Option(name: [.short, .customLong("output")], help: "The run's folder.")
    var output: String?

    @Option(help: "Flags from a YAML file, by their names without --; those on the command line win.")
    var config: String?

    @Option(help: "Go on with the run in this folder, with the options it was started with.")
    var resume: String?

    @Flag(help: "Replace a run that is already in the folder.")
    var force = false

    @Option(help: "Problems for the mode probe. Default: the set the checkpoint carries, or some of the data.")
    var probe: String?

    @Option(help: "Leave parameters of this name as they are; * stands for anything. May be given several times.")
    var freeze: [String] = []

    @Option(help: "Gradient norm above which gradients are scaled down; 0: never. Default: 1.")
    var clipNorm: Double?

    @Option(help: "Tokens in one forward and backward pass; memory and speed only. Default: 4096.")
    var microBatchTokens: Int?

    @Option(
        help: "What matrix products multiply: fp32 (the default), or numbers rounded to bf16, faster with AVX512-BF16.")
    var products: ProductPrecision?

    @Option(help: "Seed of everything random. Default: 0.")
    var seed: UInt64?

    @Option(help: "States that keep optimizer and training state; older ones become plain models. Default: 1.")
    var keepLast: Int?

    func validate() throws {
        if resume == nil {
            guard input != nil else { throw ValidationError("give a checkpoint to start from, or --resume RUN") }
            return
        }
        guard input == nil, output == nil else {
            throw ValidationError("--resume RUN goes on in that folder; leave the input and -o out")
        }
        guard !force, probe == nil else {
            throw ValidationError(
                "--resume goes on with the probe it has and replaces nothing; leave --probe and --force out")
        }
    }

    func apply(to options: inout some TrainingOptions) {
        take(microBatchTokens, into: &options.microBatchTokens)
        take(products, into: &options.products)
        take(clipNorm, into: &options.clipNorm)
        if !freeze.isEmpty { options.freeze = freeze }
        take(seed, into: &options.seed)
        take(keepLast, into: &options.keepLast)
    }

    var isResuming: Bool { resume != nil }

    /// The folder to go on in; nil for a new run.
    func resumedFolder() throws -> RunFolder? { try resume.map { try RunFolder(resuming: $0) } }

    /// The newest state of the run to go on with, or the checkpoint that a new one starts from.
    func source(_ resumed: RunFolder?) throws -> CheckpointFile {
        try resumed?.latestTrainingState() ?? CheckpointFile(path: input ?? "")
    }

    func probeProblems() throws -> [Problem]? { try probe.map { try ProblemFile.read(path: $0) } }

    /// Makes the folder of a new run. Called when nothing else can fail any more.
    func newFolder() throws -> RunFolder {
        guard let output else { throw ValidationError("give -o RUN, the folder for the run") }
        return try RunFolder(creating: output, replacing: force)
    }

    /// Says on stdout where the run ended, or how to go on with it.
    ///
    /// - Parameter inputs: the flags that name files, which a resumed run needs again.
    static func conclude(
        _ command: String, folder: RunFolder, inputs: [(flag: String, path: String?)], last: String, step: Int,
        of total: Int
    ) {
        guard step < total else { return print(last) }
        print("stopped at step \(step) of \(total); go on with:")
        let again = inputs.compactMap { input in input.path.map { " \(input.flag) \($0)" } }.joined()
        print("  ckpt \(command) --resume \(folder.path)\(again)")
    }
}
