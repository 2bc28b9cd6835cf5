import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

struct DeltaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delta",
        abstract: "Keep a checkpoint as what changed since another.",
        discussion: """
            Examples:
              ckpt delta rl/step-000004.h5 rl/step-000005.h5 -o step-5.delta.h5
              ckpt delta rl/step-000004.h5 rl/step-000005.h5 --model -o model-5.delta.h5
              ckpt delta rl/step-000004.h5 rl/step-000005.h5 --publish 5 --dtype bfloat16 \\
                -o weights/

            The delta holds everything of the second checkpoint that the first does not have: metadata too, and \
            optimizer and training state unless --model leaves them out. ckpt apply gives the second checkpoint back \
            bit for bit. Every command also reads the delta itself as the state it stands for, while the first \
            checkpoint is where it was, or beside the delta. The first may be a delta.

            --publish N writes the change of the weights as -o/weight_vNNNNNN, from which the servers of slime \
            pull them: the version after N-1, for servers whose folder `ckpt export --dtype …` wrote.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint that the delta needs.", valueName: "base"),
        completion: .file(extensions: ["h5"]))
    var base: String

    @Argument(
        help: ArgumentHelp("The checkpoint to keep.", valueName: "checkpoint"), completion: .file(extensions: ["h5"]))
    var state: String

    @Flag(help: "Leave out optimizer, adapter and training state, as ckpt strip does.")
    var model = false

    @Option(
        help: ArgumentHelp("Write version N for servers that pull weights, into the folder -o.", valueName: "n"))
    var publish: Int?

    @Option(
        help: ArgumentHelp("With --publish: the type that the servers have. Default: as stored.", valueName: "type"))
    var dtype: String?

    @Flag(help: "Print the report as JSON (schemas/delta-report.schema.json).")
    var json = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard let publish else {
            guard dtype == nil else { throw ValidationError("--dtype belongs to --publish; a delta keeps all bits") }
            return
        }
        guard (1...999_999).contains(publish) else { throw ValidationError("--publish must be 1 to 999999") }
        guard !model, !output.force, !json else {
            throw ValidationError(
                "--publish writes the weights alone, and a new folder; leave out --model, --force and --json")
        }
        guard dtype.map({ ElementType(rawValue: $0).map(ElementType.modelTypes.contains) ?? false }) ?? true else {
            throw ValidationError(
                "--dtype must be float32, float16 or bfloat16"
                    + Suggestions.question(ofValue: dtype ?? "", among: ElementType.allValueStrings))
        }
    }

    mutating func run() throws {
        if let publish { return try self.publish(as: publish) }
        try output.check()
        let base = try CheckpointFile(path: base)
        let state = try CheckpointFile(path: state)
        let groups = model ? [.weights] : TensorGroup.allCases
        let total = groups.flatMap { state.tensors(in: $0) }.reduce(0) { $0 + $1.description.byteCount }
        let bar = ProgressBar("writing", total: total, unit: .bytes)
        let written = try Delta.write(
            state, since: base, isModel: model, to: output.destination { bar.update($0) })
        bar.finish()
        if json { print(json: written.json) } else { for line in lines(written) { print(line) } }
    }

    /// Writes the change of the weights for servers that pull.
    private func publish(as version: Int) throws {
        let type = dtype.flatMap(ElementType.init(rawValue:))
        let sources = try [base, state].map { path -> any TensorSource in
            let tensors = CheckpointTensors(try CheckpointFile(path: path))
            return type.map { ConvertedTensors(tensors, to: $0) } ?? tensors
        }
        let bar = ProgressBar(
            "writing", total: sources[1].tensors.reduce(0) { $0 + $1.byteCount }, unit: .bytes)
        let written = try PulledWeights.write(
            sources[1], since: sources[0], version: version, in: output.output, progress: { bar.update($0) })
        bar.finish()
        let share = Double(written.byteCount) / Double(max(1, written.modelByteCount))
        print(
            "\(Style.bold(written.path))  \(Format.bytes(written.byteCount)), \(Format.percent(share, decimals: 2)) of "
                + "the model's \(Format.bytes(written.modelByteCount)); "
                + "\(written.changedTensorCount) of \(Format.counted(written.tensorCount, "tensor")) changed since "
                + "version \(version - 1)")
    }

    private func lines(_ written: WrittenDelta) -> [String] {
        let share = Double(written.fileByteCount) / Double(max(1, written.logicalByteCount))
        let same = written.tensorCount - written.changedTensorCount - written.wholeTensorCount
        return [
            "\(Style.bold(output.output))  \(Format.bytes(written.fileByteCount)), "
                + "\(Format.percent(share, decimals: 2)) of the state's \(Format.bytes(written.logicalByteCount)); "
                + "stands for \(Format.shortDigest(written.digest))",
            "\(Format.counted(written.changedTensorCount, "tensor")) changed in "
                + "\(Format.grouped(written.changedElementCount)) of "
                + "\(Format.counted(written.elementCount, "element")), \(same) unchanged, "
                + "\(written.wholeTensorCount) stored whole",
            "needs \(base.onOneLine(limit: 200)) (\(Format.shortDigest(written.baseDigest)))",
        ]
    }
}

extension WrittenDelta {
    /// The report of `--json`.
    fileprivate var json: JSON {
        [
            "digest": .string(digest), "base_digest": .string(baseDigest), "file_bytes": .integer(fileByteCount),
            "state_bytes": .integer(logicalByteCount), "tensors": .integer(tensorCount),
            "tensors_changed": .integer(changedTensorCount), "tensors_whole": .integer(wholeTensorCount),
            "elements": .integer(elementCount), "elements_changed": .integer(changedElementCount),
        ]
    }
}
