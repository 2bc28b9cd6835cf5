/// What a loop tells its caller, who prints it and may stop the run.
public enum TrainingEvent: Sendable {
    /// Something a person should know before the run goes on.
    case note(String)
    /// The same, where something may be going wrong.
    case warning(String)
    /// One update is done; the metrics by name, as they go to the history and to `metrics.jsonl`.
    case step(Int, of: Int, metrics: [(name: String, value: Double)])
    /// Mode preference was measured: mean P(`<think>`) and P(`<short>`) by level.
    case probe(step: Int, byLevel: [(level: String, pThink: Double, pShort: Double)])
    /// Mean P(`<think>`) and P(`<short>`) over the prompts of the step under way, by level; before its `step`.
    case preference([(level: String, pThink: Double, pShort: Double)])
    /// The dev problems were asked; step 0 is before the first update.
    case evaluation(step: Int, Evaluation)
    /// A warm-up was measured on what it was not trained on; comes before the `step`.
    case heldOut(step: Int, metrics: [(name: String, value: Double)])
    /// Whether the warm-up is ready for reinforcement learning; nil where nothing could be measured. Comes last.
    case readiness(Readiness?)
    /// A state was saved.
    case saved(path: String, byteCount: Int)
    /// Part of a step's work is under way.
    case progress(phase: String, done: Int, total: Int)
}

public enum TrainingDisposition: Sendable {
    case more
    /// Finish the step, save, and return.
    case stop
}

/// Why a run stopped by itself.
public enum TrainingFailure: Error, CustomStringConvertible {
    case notFinite(what: String, step: Int, lastGood: String?)
    case emptyData(String)
    case invariant(step: Int, String)
    case dataChanged(String)
    case reward(RewardError, step: Int, lastGood: String)

    public var description: String {
        switch self {
        case .notFinite(let what, let step, let lastGood):
            "\(what) is not finite at step \(step); the last good state is \(lastGood ?? "the input")"
        case .emptyData(let reason): reason
        case .invariant(let step, let what): "step \(step): \(what)"
        case .dataChanged(let flag): "\(flag) is not what the run started with; resume needs the same data"
        case .reward(let error, let step, let lastGood):
            "\(error), at step \(step); the last good state is \(lastGood)"
        }
    }
}
