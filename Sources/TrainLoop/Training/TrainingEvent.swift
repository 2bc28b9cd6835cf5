import OrderedJSON

/// An event of a run that its caller may show.
package enum TrainingEvent: Sendable {
    /// Information that helps to judge the run.
    case note(String)
    /// A sign that something may be going wrong.
    case warning(String)
    /// A step is done; its metrics, as they go to the history and to `metrics.jsonl`.
    case step(Int, of: Int, metrics: MetricRow)
    /// The mode probe was measured: mean P(`<think>`) and P(`<short>`) by level.
    case probe(step: Int, byLevel: [(level: String, pThink: Double, pShort: Double)])
    /// Mean P(`<think>`) and P(`<short>`) over the prompts of the current step, by level; precedes its `step`.
    case preference([(level: String, pThink: Double, pShort: Double)])
    /// The model was evaluated on the dev problems; step 0 is before the first update.
    case evaluation(step: Int, Evaluation)
    /// A warm-up was measured on held-out pairs; precedes the `step`.
    case heldOut(step: Int, metrics: MetricRow)
    /// Whether the warm-up is ready for reinforcement learning; nil if nothing could be measured. The last event.
    case readiness(Readiness?)
    case saved(path: String, byteCount: Int)
    /// A part of the work of a step is done.
    case progress(phase: String, done: Int, total: Int)
}

package typealias TrainingReport = (TrainingEvent) -> Void

/// An error that ends a run, or keeps it from starting.
package enum TrainingFailure: Error, CustomStringConvertible {
    case notFinite(what: String, step: Int, lastGood: String?)
    case emptyData(String)
    case invariant(step: Int, String)
    case dataChanged(String)
    case unreadableSave(String, lastGood: String?)
    case fullHistory
    case level(problem: String, String)
    case reward(RewardError, step: Int, lastGood: String)
    /// The servers that sample failed, or do not sample from the model.
    case sampling(String, step: Int, lastGood: String?)

    package var description: String {
        switch self {
        case .notFinite(let what, let step, let lastGood):
            "\(what) is not finite at step \(step); the last good state is \(lastGood ?? "the input")"
        case .emptyData(let reason): reason
        case .invariant(let step, let what): "step \(step): \(what)"
        case .dataChanged(let flag): "\(flag) is not what the run started with; resume needs the same data"
        case .unreadableSave(let reason, let lastGood):
            "the state was saved, but cannot be read back: \(reason); the last good state is \(lastGood ?? "the input")"
        case .fullHistory:
            "the history holds as many metrics as a checkpoint may; start a new run from the last state, with an empty "
                + "history of its stage"
        case .level(let problem, let reason):
            "the level of the problem \(problem.onOneLine(limit: 80)) \(reason); shorten it or leave it out"
        case .reward(let error, let step, let lastGood):
            "\(error), at step \(step); the last good state is \(lastGood)"
        case .sampling(let reason, let step, let lastGood):
            "step \(step): \(reason); the last good state is \(lastGood ?? "the input")"
        }
    }

    private static let maximumLevelBytes = 1024

    /// Refuses a level that could not be stored with the prompts of a mode probe.
    ///
    /// - Throws: `TrainingFailure.level`.
    static func check(level: String?, of problem: String) throws {
        guard let level else { return }
        if level.utf8.count > maximumLevelBytes {
            throw TrainingFailure.level(
                problem: problem, "has \(level.utf8.count) bytes, more than \(maximumLevelBytes)")
        }
        if level.utf8.contains(0) { throw TrainingFailure.level(problem: problem, "contains a NUL character") }
    }
}
