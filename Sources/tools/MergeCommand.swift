import ArgumentParser
import CheckpointIO
import Surgery

extension MergeMethod: ExpressibleByArgument {}

struct MergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Merge models of one architecture, or a LoRA adapter into its base.",
        discussion: """
            Examples:
              ckpt merge a.h5 b.h5 --method linear --weight 0.5 --weight 0.5 -o c.h5
              ckpt merge a.h5 b.h5 --method slerp --weight 0.7 --weight 0.3 -o c.h5
              ckpt merge a.h5 b.h5 --method task-arithmetic --base base.h5 \\
                --weight 1 --weight 0.5 -o c.h5
              ckpt merge base.h5 --adapter lora/ -o tuned.h5

            Give one --weight per model, in order; PATTERN=W1,W2 sets the weights of the tensors it matches. linear \
            divides the weights by their sum; slerp interpolates from the first model to the second by the second's \
            weight. Tokenizer, configuration and template are the first model's. --adapter takes one model and the folder \
            of a LoRA adapter of PEFT; the weights become W + s·B·A in the type of the base.
            """)

    @Argument(help: ArgumentHelp("The models.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var inputs: [String]

    @Option(help: "linear, slerp or task-arithmetic.")
    var method: MergeMethod?

    @Option(
        help: ArgumentHelp("The folder of a LoRA adapter of PEFT, instead of --method.", valueName: "folder"),
        completion: .directory)
    var adapter: String?

    @Option(
        name: .customLong("weight"),
        help: "A model's weight, or PATTERN=W1,W2 for the tensors it matches. Default: equal weights.")
    var weightArguments: [String] = []

    @Option(help: "For task-arithmetic: the model that the others were trained from.")
    var base: String?

    @OptionGroup var options: SurgeryOptions

    func validate() throws {
        guard adapter != nil else {
            guard method != nil else { throw ValidationError("Missing expected argument '--method <method>'") }
            return
        }
        guard inputs.count == 1, method == nil, base == nil, weightArguments.isEmpty else {
            throw ValidationError("--adapter takes one checkpoint, and no --method, --weight or --base")
        }
    }

    mutating func run() throws {
        if let adapter {
            let adapter = try PEFTAdapter(path: adapter)
            let file = try options.open(inputs[0])
            return try options.run([file]) { try Merge.run(file, adapter: adapter, to: $0) }
        }
        guard let method else { return }
        let weights = try Self.weights(weightArguments, modelCount: inputs.count)
        try options.output.check()
        let files = try inputs.map { try CheckpointFile(path: $0) }
        let base = try base.map { try CheckpointFile(path: $0) }
        try options.run(files) { destination in
            try Merge.run(files, method: method, weights: weights, base: base, to: destination)
        }
    }

    private static func weights(_ arguments: [String], modelCount: Int) throws -> MergeWeights {
        var general: [Double] = []
        var byPattern: [(pattern: NamePattern, weights: [Double])] = []
        for argument in arguments {
            if let weight = Double(argument) {
                general.append(weight)
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            let numbers = parts.last?.split(separator: ",").map { Double($0) } ?? []
            guard parts.count == 2, !numbers.isEmpty, !numbers.contains(nil) else {
                throw SurgeryError.badOption(
                    name: "--weight", reason: "\(argument) is neither a number nor PATTERN=W1,W2")
            }
            byPattern.append((NamePattern(parts[0]), numbers.compactMap(\.self)))
        }
        if general.isEmpty { general = [Double](repeating: 1 / Double(max(modelCount, 1)), count: modelCount) }
        return MergeWeights(general, byPattern: byPattern)
    }
}
