/// What a loop tells its caller, who prints it and may stop the run.
public enum TrainingEvent: Sendable {
    /// Something a person should know before the run goes on.
    case note(String)
    /// One update is done; the metrics by name, as they go to the history and to `metrics.jsonl`.
    case step(Int, of: Int, metrics: [(name: String, value: Double)])
    /// Mode preference was measured: mean P(`<think>`) and P(`<short>`) by level.
    case probe(step: Int, byLevel: [(level: String, pThink: Double, pShort: Double)])
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

    public var description: String {
        switch self {
        case .notFinite(let what, let step, let lastGood):
            "\(what) is not finite at step \(step); the last good state is \(lastGood ?? "the input")"
        case .emptyData(let reason): reason
        case .invariant(let step, let what): "step \(step): \(what)"
        case .dataChanged(let path): "\(path): is not the data that the run started with; resume needs the same file"
        }
    }
}
