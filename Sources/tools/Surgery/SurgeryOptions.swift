import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

/// A count with its noun: "1 tensor", "2 tensors".
func counted(_ count: Int, _ noun: String) -> String { "\(Format.grouped(count)) \(noun)\(count == 1 ? "" : "s")" }

/// The options of commands that derive a checkpoint from others, with their progress bar and report.
struct SurgeryOptions: ParsableArguments {
    @OptionGroup var output: OutputOptions

    @Flag(help: "Print the report as JSON.")
    var json = false

    static let tool = Tool.name

    /// Runs `work` with a progress bar and prints its result.
    func run(
        _ inputs: [CheckpointFile],
        _ work: (_ tool: String, _ progress: @escaping @Sendable (Int) -> Void) throws -> SurgeryResult
    ) throws {
        let total = inputs.first?.allTensors.reduce(0) { $0 + $1.description.byteCount }
        let bar = ProgressBar("writing", total: total ?? 0, unit: .bytes)
        let result = try work(Self.tool) { bar.update($0) }
        bar.finish()
        if json {
            print(result.json.serialized(indent: 2))
        } else {
            print(
                "\(Style.bold(output.output))  \(Format.bytes(result.fileByteCount)), digest "
                    + Format.shortDigest(result.digest))
            print("\(counted(result.copiedTensorCount, "tensor")) copied unchanged, \(result.writtenTensorCount) written")
        }
    }

    func open(_ path: String) throws -> CheckpointFile {
        try output.check()
        return try CheckpointFile(path: path)
    }
}
