/// Mode preference over a fixed set of prompts: the probability of `<think>` and of `<short>` as first response token,
/// at temperature 1, over the whole vocabulary, not renormalised.
public struct ProbeTable: Sendable, Equatable {
    public var prompts: [String]
    /// The difficulty of each prompt, as many as `prompts`; empty texts where unknown.
    public var levels: [String]
    /// The step of each snapshot.
    public var steps: [Int]
    /// P(`<think>`), `[snapshots][prompts]`.
    public var pThink: [[Double]]
    /// P(`<short>`), `[snapshots][prompts]`.
    public var pShort: [[Double]]

    public init(
        prompts: [String], levels: [String], steps: [Int] = [], pThink: [[Double]] = [], pShort: [[Double]] = []
    ) {
        self.prompts = prompts
        self.levels = levels
        self.steps = steps
        self.pThink = pThink
        self.pShort = pShort
    }

    /// Whether every part has the length that the others call for.
    var isRectangular: Bool {
        levels.count == prompts.count && pThink.count == steps.count && pShort.count == steps.count
            && pThink.allSatisfy { $0.count == prompts.count } && pShort.allSatisfy { $0.count == prompts.count }
    }
}
