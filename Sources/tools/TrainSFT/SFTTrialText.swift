import TrainLoop

/// What `train-sft --dry-run` prints.
struct SFTTrialText {
    let trial: SFTTrial
    let steps: Int

    init(_ trial: SFTTrial, steps: Int) {
        self.trial = trial
        self.steps = steps
    }

    var text: String {
        func row(_ name: String, _ value: String) -> String { "  \(Format.column(name, 36)) \(value)\n" }
        var text = "memory, about \(Format.bytes(trial.memory.reduce(0) { $0 + $1.bytes }))\n"
        for part in trial.memory { text += row(part.what, Format.bytes(part.bytes)) }
        text += "disk, at most \(Format.bytes(trial.diskBytes)) for \(trial.savedStates) states\n"
        text += "time\n"
        text += row("tokens of the run", Format.grouped(trial.tokens))
        text += row("longest sample", "\(Format.grouped(trial.longestSample)) tokens")
        text += row("training", "\(Format.number(trial.tokensPerSecond)) tokens/s")
        text += row("optimizer, an update", Format.number(trial.secondsPerOptimizerUpdate) + " s")
        text +=
            "the run, \(steps) steps: \(Format.duration(trial.seconds)), saving, probes and evaluation not counted\n"
        text += "nothing was written\n"
        return text
    }
}
