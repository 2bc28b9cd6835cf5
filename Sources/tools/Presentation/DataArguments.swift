import ArgumentParser
import TrainLoop

/// How the rows of data files are read; the same for all commands.
struct DataArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Fields of the data with other names, like problem=question,answer=reward_model.ground_truth; "
                + "docs/data.md has the names that are known without it.",
            valueName: "name=field,…"),
        transform: { try FieldMap($0) })
    var map: FieldMap?
}
