import ArgumentParser
import CheckpointIO
import OrderedJSON
import Surgery

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Give back the checkpoint that a delta stands for.",
        discussion: """
            Example:
              ckpt apply rl/step-000004.h5 step-5.delta.h5 -o step-5.h5

            The result has the digest and the metadata of the checkpoint that ckpt delta was given. Another base than \
            the one the delta was made with is refused.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint that the delta needs.", valueName: "base"),
        completion: .file(extensions: ["h5"]))
    var base: String

    @Argument(help: ArgumentHelp("The delta.", valueName: "delta"), completion: .file(extensions: ["h5"]))
    var delta: String

    @Flag(help: "Print the report as JSON (schemas/delta-report.schema.json).")
    var json = false

    @OptionGroup var output: OutputOptions

    mutating func run() throws {
        try output.check()
        let base = try CheckpointFile(path: base)
        let total = base.tensors().reduce(0) { $0 + $1.description.byteCount }
        let bar = ProgressBar("writing", total: total, unit: .bytes)
        let written = try Delta.apply(delta, to: base, writing: output.destination { bar.update($0) })
        bar.finish()
        guard !json else {
            return print(json: [
                "digest": .string(written.digest), "file_bytes": .integer(written.fileByteCount),
                "state_bytes": .integer(written.logicalByteCount),
            ])
        }
        print(
            "\(Style.bold(output.output))  \(Format.bytes(written.fileByteCount)), digest "
                + Format.shortDigest(written.digest))
    }
}
