import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing

@Suite struct RunStoryTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The curve of a run of `count` steps with these metrics.
    func curve(
        _ count: Int, run: String = "rl", options: JSON = ["prompts_per_step": 8], probe: ProbeTable? = nil,
        _ metrics: [(String, (Int) -> Double)]
    ) throws -> RunCurve {
        var history = MetricHistory()
        for step in 0..<count {
            history.append([("step", Double(step + 1))] + metrics.map { ($0.0, $0.1(step)) })
        }
        var model = TinyModel(step: count)
        model.history = [run: history]
        model.probes = probe.map { [$0] } ?? []
        model.lineage = [LineageEntry(operation: "train-\(run)", arguments: options, parent: nil, tool: "ckpt").text]
        let path = folder.path("run.h5")
        return try RunCurve(files: [model.write(to: path)], path: path)
    }

    /// A value with noise of this size that does not grow or fall.
    func noisy(_ mean: Double, _ size: Double) -> (Int) -> Double {
        { mean + size * [-1, 0.4, 0.9, -0.3, 0.1, -0.7, 0.6][$0 % 7] }
    }

    @Test func comparesStartAndEnd() throws {
        let story = try curve(
            100,
            [
                ("num_think", { 20 + Double($0) }), ("num_short", { 180 - Double($0) }),
                ("acc", { 0.5 + Double($0) / 250 }), ("reward_mean", noisy(0.3, 0.1)),
                ("response_length_mean", noisy(20, 0.5)), ("loss", { Double($0) }),
            ]
        ).story
        let share = try #require(story[.thinkShare])
        #expect(share.stepCount == 10)
        #expect(abs(share.before - 0.1225) < 1e-9 && abs(share.after - 0.5725) < 1e-9)
        #expect(share.isClear)
        #expect(story.criterion?.quantity == .accuracy)
        #expect(story[.reward]?.isClear == false)
        // The loss of reinforcement says nothing.
        #expect(story[.loss] == nil)
        #expect(story.stillness.isEmpty)
    }

    @Test func levelsAreNamedByChoice() throws {
        let probe = ProbeTable(
            prompts: ["a", "b", "c", "d"], levels: ["1", "1", "2", "10"], steps: [0, 9],
            pThink: [[0.4, 0.4, 0.4, 0.4], [0.05, 0.1, 0.5, 0.9]],
            pShort: [[0.4, 0.4, 0.4, 0.4], [0.9, 0.9, 0.5, 0.1]])
        let story = try curve(12, probe: probe, [("acc", { Double($0) / 20 })]).story
        #expect(story.levels.map(\.name) == ["1", "2", "10"])
        #expect(story.levels.map(\.choice) == [.short, .mixed, .think])
        #expect(story.levels.allSatisfy { $0.before == 0.5 })
        let sampled = try curve(8, [("think_share_x", { _ in 1 }), ("think_share_y", { _ in 0 })]).story
        #expect(sampled.levels.map(\.choice) == [.think, .short])
    }

    /// A level on which neither mode is probable at the end is not judged.
    @Test func levelsOnWhichResponsesBeginWithoutAMode() throws {
        let probe = ProbeTable(
            prompts: ["a", "b"], levels: ["1", "2"], steps: [0, 9], pThink: [[0.1, 0.1], [0.15, 0.5]],
            pShort: [[0.1, 0.1], [0.05, 0.1]])
        let story = try curve(12, probe: probe, [("acc", { Double($0) / 20 })]).story
        #expect(story.levels.map(\.name) == ["2"])
        #expect(story.levels.map(\.before) == [0.5])
        #expect(story.levels.map(\.choice) == [.think])
    }

    @Test func nothingMovedHasReasons() throws {
        let still = noisy(0.5, 0.1)
        let equal = try curve(40, [("acc", still), ("zero_advantage_groups", { _ in 8 }), ("grad_norm", { _ in 0 })])
        #expect(equal.story.stillness == [.equalRewards(share: 1)])
        let gradient = try curve(
            40, [("acc", still), ("zero_advantage_groups", { _ in 2 }), ("grad_norm", { _ in 0 })])
        #expect(gradient.story.stillness == [.noGradient])
        #expect(try curve(40, [("acc", { _ in 0 })]).story.stillness == [.allWrong(share: 0)])
        #expect(try curve(40, [("acc", { _ in 1 })]).story.stillness == [.allRight(share: 1)])
        #expect(try curve(4, [("acc", { _ in 0.5 })]).story.stillness == [.fewSteps(4)])
        #expect(
            try curve(40, [("acc", still), ("lr", { _ in 1e-9 })]).story.stillness == [
                .smallSteps(rate: 1e-9, moved: nil)
            ])
        #expect(try curve(40, [("acc", still), ("grad_norm", { _ in 1 })]).story.stillness == [.unexplained])
        #expect(try curve(40, [("acc", { Double($0) / 40 })]).story.stillness.isEmpty)
    }

    @Test func oneOfTwoRunsEndedBetter() throws {
        func end(_ accuracy: Double, noise: Double, tokens: Double) throws -> RunStory {
            try curve(80, [("acc", noisy(accuracy, noise)), ("response_length_mean", noisy(tokens, 0.1))]).story
        }
        let better = RunRanking(
            try end(0.7, noise: 0.05, tokens: 20), try end(0.9, noise: 0.05, tokens: 30))
        #expect(better.winner == .b)
        #expect(abs((better.criterion?.b ?? 0) - (better.criterion?.a ?? 0) - 0.2) < 0.001)
        #expect(better.differences.first { $0.quantity == .tokens }?.isClear == true)
        let alike = RunRanking(try end(0.7, noise: 0.2, tokens: 20), try end(0.75, noise: 0.2, tokens: 20))
        #expect(alike.winner == .neither)
        let losses = RunRanking(
            try curve(40, run: "sft", [("loss", noisy(1, 0.01))]).story,
            try curve(40, run: "sft", [("loss", noisy(2, 0.01))]).story)
        #expect(losses.winner == .a)
        let apart = RunRanking(
            try curve(40, [("acc", { _ in 1 })]).story, try curve(40, [("reward_mean", { _ in 1 })]).story)
        #expect(apart.winner == .neither && apart.criterion == nil)
    }

    @Test func hostileNumbersGiveNoVerdict() throws {
        let huge = try curve(40, [("acc", { $0 % 2 == 0 ? 1e308 : -1e308 }), ("reward_mean", { _ in .nan })]).story
        #expect(huge[.reward] == nil)
        #expect(huge.changes.count == 1)
        #expect(try curve(1, [("acc", { _ in .infinity })]).story.changes.isEmpty)
    }
}
