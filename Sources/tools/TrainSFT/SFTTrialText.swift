import TrainLoop

/// The output of `train-sft --dry-run`.
enum SFTTrialText {
    static func text(_ trial: SFTTrial, steps: Int, forecast: String) -> String {
        func row(_ name: String, _ value: String) -> String { "  \(Format.column(name, 36)) \(value)\n" }
        var text = "memory, about \(Format.bytes(trial.memory.reduce(0) { $0 + $1.bytes }))\n"
        for part in trial.memory { text += row(part.purpose, Format.bytes(part.bytes)) }
        text += "disk, at most \(Format.bytes(trial.diskBytes)) for \(Format.counted(trial.savedStates, "state"))\n"
        text += "time\n"
        text += row("tokens of the run", Format.grouped(trial.tokens))
        text += row("longest sample", "\(Format.grouped(trial.longestSample)) tokens")
        text += row("training", "\(Format.number(trial.tokensPerSecond)) tokens/s")
        text += row("optimizer, an update", Format.number(trial.secondsPerOptimizerUpdate) + " s")
        text += "the run, \(Format.counted(steps, "step")): \(Format.duration(trial.seconds)), "
        text += "without saving, probes and evaluation\n"
        text += forecast
        text += "nothing was written\n"
        return text
    }
}
