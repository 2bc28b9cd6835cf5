import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

/// What every command that makes one checkpoint from others has: the output, `--json`, progress and the report.
struct SurgeryOptions: ParsableArguments {
    @OptionGroup var output: OutputOptions

    @Flag(help: "Print the report as JSON.")
    var json = false

    static let tool = Tool.name

    /// Checks the output, runs `work` with a progress bar, prints what came of it.
    func run(
        _ inputs: [CheckpointFile],
        _ work: (_ tool: String, _ progress: @escaping @Sendable (Int) -> Void) throws -> SurgeryResult
    ) throws {
        let total = inputs.first.map { file in
            [TensorGroup.weights, .optimizerM, .optimizerV].flatMap { file.tensors(in: $0) }
                .reduce(0) { $0 + $1.description.byteCount }
        }
        let bar = ProgressBar("writing", total: total ?? 0, unit: .bytes)
        let result = try work(Self.tool) { bar.update($0) }
        bar.finish()
        if json {
            print(result.json.serialized(indent: 2))
        } else {
            print(
                "\(Style.bold(output.output))  \(Format.bytes(result.fileByteCount)), digest "
                    + Format.shortDigest(result.digest))
            print("\(result.copiedTensorCount) tensors copied as they were, \(result.writtenTensorCount) written")
        }
    }

    func open(_ path: String) throws -> CheckpointFile {
        try output.check()
        return try CheckpointFile(path: path)
    }
}
