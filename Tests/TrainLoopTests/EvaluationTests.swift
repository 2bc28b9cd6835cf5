import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop

private func fixture(_ name: String) throws -> JSON {
    let path = fixturesFolder().appending(path: name)
    return try JSON.parse([UInt8](Data(contentsOf: path)))
}

private func isClose(_ value: Double, _ expected: Double?) -> Bool {
    guard let expected else { return false }
    return abs(value - expected) <= 1e-12 * max(1, abs(expected))
}

/// Compares with the mean and error written by the Python scripts.
private func isClose(_ value: ClusteredMean, _ expected: JSON?) -> Bool {
    isClose(value.mean, expected?.array?.first?.double) && isClose(value.standardError, expected?.array?.last?.double)
}

@Suite struct ClusteredMeanTests {
    /// See `Fixtures/make_clustered_mean.py`.
    @Test func agreesWithStatsmodels() throws {
        let cases = try #require(try fixture("clustered_mean.json").array)
        #expect(cases.count == 4)
        for item in cases {
            let rows = try #require(item["clusters"]?.array)
            let clusters = rows.map { ($0.array ?? []).compactMap(\.double) }
            let found = ClusteredMean(clusters.map { (sum: $0.reduce(0, +), count: $0.count) })
            #expect(isClose(found.mean, item["mean"]?.double) && found.count == clusters.joined().count)
            #expect(isClose(found.standardError, item["standard_error"]?.double), "\(item["name"]?.string ?? "")")
        }
    }

    @Test func copiesOfAnObservationAddNoInformation() {
        let values = [0.0, 1, 1, 0, 1]
        let once = ClusteredMean(values: values)
        let copied = ClusteredMean(values.map { (sum: 8 * $0, count: 8) })
        #expect(abs(once.standardError - copied.standardError) < 1e-15 && copied.count == 40)
        #expect(abs(once.standardError - (0.3 / 5).squareRoot()) < 1e-15)
    }

    @Test func tooFewClusters() {
        let none = ClusteredMean(values: [])
        #expect(none.mean.isNaN && none.standardError.isNaN && none.count == 0)
        let one = ClusteredMean([(sum: 3, count: 4), (sum: 0, count: 0)])
        #expect(one.mean == 0.75 && one.standardError.isNaN && one.count == 4)
    }
}

/// Compares with numbers computed from the definitions by `Fixtures/make_evaluation.py`.
@Suite struct EvaluationAgreementTests {
    private let evaluation: Evaluation
    private let expected: JSON

    init() throws {
        let content = try fixture("evaluation.json")
        expected = try #require(content["expected"])
        let levels = try #require(content["levels"]?.array?.compactMap { $0.string })
        var options = Evaluation.Options()
        options.conditions = [.auto, .think, .short]
        options.samplesPerProblem = try #require(content["samples"]?.int)
        var answers: [Evaluation.Answer] = []
        for condition in options.conditions {
            let rows = try #require(content["answers"]?[condition.name]?.array)
            for row in rows {
                let fields = try #require(row.array)
                let isRight = fields[3].bool == true
                let (problem, sample) = (try #require(fields[0].int), try #require(fields[1].int))
                let tokens = try #require(fields[4].int)
                answers.append(
                    Evaluation.Answer(
                        problem: problem,
                        forced: condition == .auto ? nil : Mode(rawValue: condition.name),
                        sample: sample, mode: Mode(rawValue: fields[2].string ?? ""),
                        outcomes: [.any: isRight ? .right : .wrong, .boxed: .malformed], found: [:],
                        isTruncated: false, isThinkingCut: false, tokenCount: tokens, text: ""))
            }
        }
        let prompts = try #require(content["prompts"]?.array?.compactMap { $0.int })
        let pThink = try #require(content["p_think"]?.array?.compactMap { $0.double })
        evaluation = Evaluation(
            problems: levels.enumerated().map { Problem(id: "\($0)", problem: "p\($0)", answer: "1", level: $1) },
            options: options, promptTokenCounts: prompts,
            firstToken: pThink.map { ($0, 1 - $0) },
            answers: answers)
    }

    @Test func summaries() throws {
        for condition in evaluation.options.conditions {
            let summary = evaluation.summary(condition)
            #expect(isClose(summary.passAtOne[0].share, expected["pass_at_1"]?[condition.name]))
            #expect(isClose(summary.tokens, expected["tokens"]?[condition.name]))
            #expect(summary.passAtOne.map(\.rule) == [.any, .boxed] && summary.passAtOne[1].share.mean == 0)
        }
        let thinking = evaluation.summary(.auto, mode: .think)
        #expect(isClose(thinking.passAtOne[0].share, expected["pass_at_1_where_thinking"]))
        #expect(thinking.thinkShare == 1 && thinking.shortShare == 0)
        // Levels and modes partition the answers.
        let parts = ["easy", "hard"].flatMap { level in
            Mode.allCases.map { evaluation.summary(.auto, level: level, mode: $0).count }
        }
        #expect(parts.reduce(0, +) == evaluation.summary(.auto).count && parts.allSatisfy { $0 > 0 })
    }

    @Test func choiceOfMode() throws {
        let choices = try #require(expected["choice"]?.array)
        for item in choices {
            let margin = try #require(item["margin"]?.double)
            let quality = try #require(ModeChoiceQuality(evaluation, margin: margin))
            #expect(quality.betterModes.map(\.rawValue) == item["better"]?.array?.compactMap { $0.string })
            let hybrid = try #require(quality.hybridAccuracy)
            #expect(isClose(hybrid, item["hybrid"]))
            #expect(isClose(quality.oracle.accuracy, item["oracle"]))
            #expect(isClose(quality.oracle.reward, item["oracle_reward"]))
            #expect(isClose(quality.oracle.meanTokens, item["oracle_tokens"]?.double))
            #expect(isClose(quality.oracle.thinkShare, item["oracle_think"]?.double))
            let byLevel = quality.hybridAccuracyByLevel.map(\.share)
            #expect(byLevel.map(\.count).reduce(0, +) == quality.hybridAccuracy?.count)
        }
    }

    @Test func curve() throws {
        let points = try #require(expected["curve"]?.array)
        let curve = try #require(ThresholdCurve(evaluation, thinnedTo: 1000))
        #expect(curve.points.count == points.count)
        for (point, item) in zip(curve.points, points) {
            #expect(isClose(point.threshold, item["threshold"]?.double) || point.threshold == .infinity)
            #expect(isClose(point.thinkShare, item["think"]?.double))
            #expect(isClose(point.accuracy, item["accuracy"]))
            #expect(isClose(point.meanTokens, item["tokens"]?.double))
            #expect(isClose(point.promptAndResponse, item["prompt_and_response"]?.double))
            // Evaluating a single threshold gives the same point.
            guard point.threshold.isFinite else { continue }
            let summary = evaluation.summary(.threshold(point.threshold))
            #expect(summary.passAtOne[0].share == point.accuracy && summary.thinkShare == point.thinkShare)
        }
        #expect(curve.points.first?.thinkShare == 1 && curve.points.last?.thinkShare == 0)
        let thin = try #require(ThresholdCurve(evaluation, thinnedTo: 4))
        #expect(thin.points.count == 4 && thin.points.first?.thinkShare == 1 && thin.points.last?.thinkShare == 0)
    }

    @Test func gainIsPairedByProblem() {
        // The gain of a model over itself has no error, however much the problems differ.
        let gain = evaluation.gain(over: evaluation, .auto)
        #expect(gain.mean == 0 && gain.standardError == 0 && gain.count == evaluation.problems.count)
        #expect(evaluation.summary(.auto).passAtOne[0].share.standardError > 0)
    }

    @Test func modeChoiceQualityNeedsEnoughForcedSamples() {
        var options = evaluation.options
        options.samplesPerProblem = 7
        let few = Evaluation(
            problems: evaluation.problems, options: options, promptTokenCounts: evaluation.promptTokenCounts,
            firstToken: evaluation.firstToken, answers: evaluation.answers.filter { $0.sample < 7 })
        #expect(ModeChoiceQuality(few) == nil)
        options.samplesPerProblem = 8
        options.conditions = [.auto, .think]
        let oneMode = Evaluation(
            problems: evaluation.problems, options: options, promptTokenCounts: evaluation.promptTokenCounts,
            firstToken: evaluation.firstToken, answers: evaluation.answers)
        #expect(ModeChoiceQuality(oneMode) == nil && ThresholdCurve(oneMode) == nil)
    }
}

/// Compares with numbers computed from the definitions by `Fixtures/make_sampled_accuracy.py`.
@Suite struct SampledAccuracyTests {
    /// An evaluation with these samples, each an outcome and an answer, of each problem.
    private func evaluation(_ problems: [[(Outcome, String?)]]) -> Evaluation {
        var options = Evaluation.Options()
        options.samplesPerProblem = problems.first?.count ?? 1
        options.rule = .bare
        return Evaluation(
            problems: problems.indices.map { Problem(id: "\($0)", problem: "p\($0)", answer: "1") }, options: options,
            promptTokenCounts: problems.map { _ in 1 }, firstToken: problems.map { _ in (0.5, 0.5) },
            answers: problems.enumerated().flatMap { problem, samples in
                samples.enumerated().map { sample, answer in
                    Evaluation.Answer(
                        problem: problem, forced: nil, sample: sample, mode: .short, outcomes: [.bare: answer.0],
                        found: answer.1.map { [.bare: $0] } ?? [:], isTruncated: answer.0 == .truncated,
                        isThinkingCut: false, tokenCount: 1, text: "")
                }
            })
    }

    @Test func agreesWithEnumeration() throws {
        let content = try fixture("sampled_accuracy.json")
        let expected = try #require(content["expected"])
        let problems = try #require(content["problems"]?.array).map { problem -> [(Outcome, String?)] in
            try #require(problem["samples"]?.array).map { sample -> (Outcome, String?) in
                let fields = try #require(sample.array)
                return (try #require(fields[0].string.flatMap(Outcome.init(rawValue:))), fields[1].string)
            }
        }
        let found = try #require(evaluation(problems).sampledAccuracy(.auto).first)
        #expect(found.rule == .bare && found.passAtK.map(\.k) == [2, 4, 6])
        for (k, share) in found.passAtK {
            #expect(isClose(share, expected["pass_at_\(k)"]), "pass@\(k)")
        }
        #expect(isClose(found.majority, expected["majority_at_6"]))
        let byProblem = (expected["majority_by_problem"]?.array ?? []).compactMap(\.double)
        // Ties are among the cases.
        #expect(Set(byProblem).count > 2)
        for (index, share) in byProblem.enumerated() {
            for samples in [problems[index], problems[index].reversed()] {
                let vote = evaluation([samples]).sampledAccuracy(.auto).first?.majority
                #expect(isClose(vote?.mean ?? .nan, share), "problem \(index)")
            }
        }
    }

    @Test func oneSampleHasNoSummary() {
        #expect(evaluation([[(.right, "1")], [(.wrong, "2")]]).sampledAccuracy(.auto).isEmpty)
    }

    /// Without a limit, 4,000 different answers would be compared in eight million pairs.
    @Test(.timeLimit(.minutes(10))) func aVoteOfManyDifferentAnswersEnds() {
        let wrong = (0..<4000).map { (Outcome.wrong, Optional("x^{\($0)} + y")) }
        let found = evaluation([[(.right, "1"), (.right, "1")] + wrong]).sampledAccuracy(.auto)
        #expect(found.first?.majority.mean == 1)
    }
}

@Suite struct EvaluationProtocolTests {
    @Test func thinklessPromptIsTheDefault() {
        let options = Evaluation.Options()
        #expect(
            options.prompt.text.hasSuffix("\\boxed{}.\n{problem}") && options.prompt.text.hasPrefix("Please reason"))
        #expect(EvaluationPrompt("plain") == .plain && EvaluationPrompt("Q: {problem}") == .template("Q: {problem}"))
        #expect(EvaluationPrompt("no place") == nil)
        let departures = EvaluationProtocol(options).departures
        // Length, samples, and two deliberate differences of the grader.
        #expect(departures.count == 4 && departures[0].contains("32768") && departures[1].contains("1 sample"))
    }

    @Test func everyDepartureIsListed() {
        var options = Evaluation.Options()
        options.maximumNewTokens = 32768
        options.samplesPerProblem = 5
        #expect(EvaluationProtocol(options).departures.count == 2)
        options.prompt = .plain
        options.temperature = 1
        options.topP = 1
        options.thinkingBudget = 9
        options.rule = .boxed
        #expect(EvaluationProtocol(options).departures.count == 7)
    }
}
