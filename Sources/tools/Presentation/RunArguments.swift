import ArgumentParser
import CheckpointIO
import Ranks
import TrainLoop
import Transformer

/// Where a training run starts, resumes and writes; the same for both stages.
struct RunArguments: ParsableArguments {
    @Argument(help: "The checkpoint to start from.", completion: .file(extensions: ["h5"]))
    var input: String?

    @Option(name: [.short, .customLong("output")], help: "The run's folder.")
    var output: String?

    @Option(help: "A YAML file of flags, by their names without --; flags on the command line win.")
    var config: String?

    @Option(
        help: "Resume the run in this folder, with the options it was started with; --steps N extends it to N steps.")
    var resume: String?

    @Flag(help: "Replace a run that is already in the folder.")
    var force = false

    @Option(help: "Problems for the mode probe. Default: those that the checkpoint carries, or some of the data.")
    var probe: String?

    func validate() throws {
        if resume == nil {
            guard input != nil else { throw ValidationError("give a checkpoint to start from, or --resume RUN") }
            return
        }
        guard input == nil, output == nil else {
            throw ValidationError("--resume RUN continues in that folder; leave out the input and -o")
        }
        guard !force, probe == nil else {
            throw ValidationError(
                "--resume keeps the probe of the run and replaces nothing; leave out --probe and --force")
        }
    }

    var isResuming: Bool { resume != nil }

    /// The folder of the run to resume, locked by rank 0; nil for a new run, whose folder must not be a symbolic link.
    func resumedFolder(_ ranks: RankGroup) throws -> RunFolder? {
        if let output { try AtomicFile.refuseLink(at: output) }
        return try resume.map { ranks.isRoot ? try RunFolder(resuming: $0) : RunFolder(existing: $0) }
    }

    /// The stage, from the newest undamaged state of the run to resume, or from the checkpoint of a new run.
    ///
    /// - Throws: `RunFolderError` if the run to resume is not one of this stage, and errors of loading.
    func trainer<Trainer: StageTrainer>(
        _ resumed: RunFolder?, load: (CheckpointFile) throws -> Trainer
    ) throws -> Trainer {
        guard let resumed else { return try load(try CheckpointFile(path: input ?? "")) }
        let (trainer, path, damaged) = try resumed.newestState(of: Trainer.command, load: load)
        for error in damaged { Terminal.warn("\(error); resuming from \(path)") }
        return trainer
    }

    /// The options of a stage: those of the resumed run or the defaults, changed by `apply`.
    ///
    /// - Throws: `OptionError` if a flag but those of the length differs from the options of a resumed run.
    func options<Stage: TrainingOptions>(
        of source: CheckpointFile, changedBy apply: (inout Stage) -> Void
    ) throws -> Stage {
        let base = isResuming ? try Stage(storedIn: source) : Stage()
        var options = base
        apply(&options)
        if isResuming { try base.checkResuming(with: options, after: source.metadata.step) }
        return options
    }

    func probeProblems() throws -> [Problem]? { try probe.map { try ProblemFile.read(path: $0) } }

    /// Makes the folder of a new run on rank 0; called after everything else that can fail.
    func newFolder(_ ranks: RankGroup) throws -> RunFolder {
        guard let output else { throw ValidationError("give -o RUN, the folder for the run") }
        return ranks.isRoot
            ? try RunFolder(creating: output, replacing: force) : RunFolder(existing: output)
    }

    /// Trains, shows the run on stderr, and prints on stdout the last state or how to resume.
    ///
    /// - Parameters:
    ///   - trainer: the stage.
    ///   - resumed: the folder of the run to resume; nil for a new run.
    ///   - inputs: the flags that name files, which a resumed run needs again.
    ///   - columns: how the metrics of a step are shown.
    ///   - ranks: the processes that train.
    /// - Throws: errors of the run.
    func train(
        _ trainer: inout some StageTrainer, in resumed: RunFolder?, inputs: [(flag: String, path: String?)],
        columns: StepColumns, ranks: RankGroup
    ) throws {
        let folder = try resumed ?? newFolder(ranks)
        if trainer.state.step >= trainer.totalSteps {
            Terminal.writeError("the run has made all of its steps; --steps N above \(trainer.totalSteps) extends it")
        }
        var view = TrainingView(columns, after: trainer.state.step, of: trainer.totalSteps)
        let last: String
        do {
            last = try Interruption.watching { interruption in
                defer { view.finish() }
                return try trainer.run(
                    in: folder, report: { view.show($0) }, shouldStop: { interruption.isRequested })
            }
        } catch {
            if ranks.isRoot { folder.removeIfNothingWasDone() }
            throw error
        }
        guard trainer.state.step < trainer.totalSteps else { return print(last) }
        let again = inputs.compactMap { input in input.path.map { " \(input.flag) \($0)" } }.joined()
        print("stopped at step \(trainer.state.step) of \(trainer.totalSteps); resume with:")
        print("  ckpt \(type(of: trainer).command) --resume \(folder.path)\(again)")
    }
}

/// Options that both stages have besides those of the optimizer.
struct SharedArguments: OptionArguments {
    @Option(help: "Do not train parameters of these names, separated by commas; * stands for any characters.")
    var freeze: [String] = []

    @Option(help: "Train all parameters (all; the default), or only the rows of the control tokens (control).")
    var trainRows: TrainRows?

    @Option(
        help: """
            Train LoRA adapters and the control tokens' rows instead of the model, for example \
            r=16,alpha=32,targets=q+k+v+o+gate+up+down,dropout=0.05,rslora (each has a default).
            """, transform: { try AdapterOptions($0) })
    var lora: AdapterOptions?

    @Option(help: "Gradient norm above which gradients are scaled down; 0: never. Default: 1.")
    var clipNorm: Double?

    @Option(help: "Tokens in one forward and backward pass; affects memory and speed only. Default: 4096.")
    var microBatchTokens: Int?

    @Option(
        help: """
            Compute activations again in the backward pass: auto (if they would not fit; the default), always, never; \
            affects memory and speed only.
            """)
    var recompute: Recomputation?

    @Option(
        help: """
            What --recompute always keeps of each layer: its input in fp32 (the default) or in bf16, rounded, for half \
            the memory of a long text.
            """)
    var activations: ActivationPrecision?

    @Option(
        help: """
            AdamW's moments: fp32 (the default), or 8bit, rounded at random with a scale for each block, which takes a \
            quarter of the memory.
            """)
    var moments: MomentPrecision?

    @Option(
        help: """
            Weights and gradients: fp32 (the default), or bf16 for matrices, rounded at random, which takes half of the \
            memory.
            """)
    var weights: WeightPrecision?

    @Option(
        help: """
            Slices of an update, whose gradients are added in a tree: a power of two, and at least as many as MPI \
            ranks. States have the same bits on any number of ranks with the same slices. Default: 1, or under an MPI \
            launcher as many as ranks and at least 4.
            """)
    var slices: Int?

    @Flag(
        help: """
            With MPI ranks: each holds the moments of a part of the parameters only (ZeRO stage 1), which takes \
            8 - 8/ranks bytes less for each trained number; states are the same.
            """)
    var shardOptimizer = false

    @Option(
        help: """
            Factors of matrix products: fp32 (the default); bf16, rounded, which needs AVX512-BF16 and is faster on \
            AMD's processors; auto, the faster of the two here.
            """)
    var products: ProductPrecision?

    @Option(help: "Seed of all random numbers. Default: 0.")
    var seed: UInt64?

    @Option(
        help: """
            What states contain with --lora: complete (the model; the default), or adapter (a few megabytes; every \
            command computes the model from it and the base, which must stay where it is).
            """)
    var save: SavedContent?

    @Option(help: "States that keep optimizer and training state; older ones become plain models. Default: 1.")
    var keepLast: Int?

    mutating func validate() throws { freeze = RepeatedFlag.split(freeze) }
}

extension TrainRows: ExpressibleByArgument {}
extension Recomputation: ExpressibleByArgument {}
extension MomentPrecision: ExpressibleByArgument {}
extension ActivationPrecision: ExpressibleByArgument {}
extension SavedContent: ExpressibleByArgument {}
