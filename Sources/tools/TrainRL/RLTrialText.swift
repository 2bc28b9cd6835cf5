import OrderedJSON
import TrainLoop

/// The output of `train-rl --dry-run`.
enum RLTrialText {
    static func text(_ trial: RLTrial, steps: Int, forecast: String) -> String {
        func row(_ name: String, _ value: String) -> String { "  \(Format.column(name, 36)) \(value)\n" }
        let memory = trial.memory.reduce(0) { $0 + $1.bytes }
        let tokens = Double(trial.samplesPerStep) * trial.meanResponseTokens
        let (expected, longest) = trial.secondsPerStep
        var text = "memory, about \(Format.bytes(memory))\n"
        for part in trial.memory { text += row(part.purpose, Format.bytes(part.bytes)) }
        text += "disk, at most \(Format.bytes(trial.diskBytes)) for \(Format.counted(trial.savedStates, "state"))"
        if trial.deltas > 0 {
            text +=
                ", and at most \(Format.bytes(trial.deltaBytes)) for each of "
                + "\(Format.counted(trial.deltas, "delta"))"
        }
        text += " (and the rollout logs)\n"
        text += "a step\n"
        text += row("samples", Format.grouped(trial.samplesPerStep))
        text += row("tokens of a prompt, mean", Format.number(trial.meanPromptTokens))
        text += row(
            "tokens of an answer, mean of a trial",
            Format.number(trial.meanResponseTokens)
                + (trial.unfinished > 0
                    ? ", at least: the trial cut off \(Format.counted(trial.unfinished, "answer"))" : ""))
        text += row("tokens to sample", Format.grouped(Int(saturating: tokens)))
        text += row("sampling", "\(Format.number(trial.sampledTokensPerSecond)) tokens/s")
        text += row("training", "\(Format.number(trial.trainedTokensPerSecond)) tokens/s")
        text += row("optimizer, an update", Format.number(trial.secondsPerOptimizerUpdate) + " s")
        text += row(
            "time", "\(Format.duration(expected)) (\(Format.duration(longest)) if every answer had the largest length)")
        text += "the run, \(Format.counted(steps, "step")): \(Format.duration(expected * Double(steps))), "
        text += "without saving and probes\n"
        text += forecast
        text += "nothing was written\n"
        return text
    }
}

/// The options of a run that uses a preset, as lines.
enum PresetText {
    static func text(_ preset: RLPreset, _ options: RLOptions) -> String {
        var lines = ["preset \(preset.rawValue), with the flags that were given:"]
        var line = " "
        for (key, value) in options.recorded.object ?? JSONObject() {
            let word = " \(key)=\(value.string ?? value.serialized())"
            if line.count + word.count > 110 {
                lines.append(line)
                line = " "
            }
            line += word
        }
        lines.append(line)
        return lines.joined(separator: "\n")
    }
}
