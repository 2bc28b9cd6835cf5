import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

/// The options of commands that derive a checkpoint from others, with their progress bar and report.
struct SurgeryOptions: ParsableArguments {
    @OptionGroup var output: OutputOptions

    @Flag(help: "Print the report as JSON.")
    var json = false

    /// Runs `work` with a progress bar and prints its result.
    func run(_ inputs: [CheckpointFile], _ work: (SurgeryDestination) throws -> SurgeryResult) throws {
        let total = inputs.first?.allTensors.reduce(0) { $0 + $1.description.byteCount }
        let bar = ProgressBar("writing", total: total ?? 0, unit: .bytes)
        let result = try work(output.destination { bar.update($0) })
        bar.finish()
        if json {
            print(json: result.json)
        } else {
            print(
                "\(Style.bold(output.output))  \(Format.bytes(result.fileByteCount)), digest "
                    + Format.shortDigest(result.digest))
            let copied = Format.counted(result.copiedTensorCount, "tensor")
            print("\(copied) copied unchanged, \(result.writtenTensorCount) written")
            for note in result.notes { Terminal.warn(note) }
        }
    }

    func open(_ path: String) throws -> CheckpointFile {
        try output.check()
        return try CheckpointFile(path: path)
    }
}

extension OutputOptions {
    func destination(progress: @escaping @Sendable (Int) -> Void) -> SurgeryDestination {
        SurgeryDestination(output, overwrite: force, tool: Tool.name, progress: progress)
    }
}
