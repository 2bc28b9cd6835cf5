import ArgumentParser
import CheckpointIO
import Surgery

struct CastCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cast",
        abstract: "Store weights in another floating-point type.",
        discussion: """
            Examples:
              ckpt cast model.h5 --dtype bfloat16 -o half.h5
              ckpt cast model.h5 --dtype bfloat16 --tensor '*proj*' -o mixed.h5

            Values are rounded to nearest, ties to even. A value beyond the range of the type is an error.
            """)

    @Argument(
        help: ArgumentHelp("The checkpoint to convert.", valueName: "checkpoint"), completion: .file(extensions: ["h5"])
    )
    var input: String

    @Option(name: .customLong("dtype"), help: "float32, float16 or bfloat16.")
    var type: String

    @Option(name: .customLong("tensor"), help: "Convert only tensors whose name matches; * matches anything.")
    var pattern = "*"

    @OptionGroup var options: SurgeryOptions

    mutating func run() throws {
        guard let type = ElementType(rawValue: type) else {
            throw SurgeryError.badOption(
                name: "--dtype",
                reason: "\(self.type) is not a floating-point type; give float32, float16 or bfloat16"
                    + Suggestions.question(ofValue: self.type, among: ElementType.allValueStrings))
        }
        let file = try options.open(input)
        try options.run([file]) { destination in
            try Cast.run(file, as: type, matching: NamePattern(pattern), to: destination)
        }
    }
}
