import ArgumentParser
import Foundation
import OrderedJSON
import TrainLoop

struct GradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grade",
        abstract: "Grade recorded responses, and show the answer found in each.",
        discussion: """
            Examples:
              ckpt grade rl/rollouts/step-000005.jsonl
              ckpt grade rl/rollouts/*.jsonl
              ckpt grade samples_aime.jsonl --answer any -o graded.jsonl
              ckpt grade samples_aime.jsonl --reward command:./judge

            Reads rows with answer and response (and problem), rollout logs, answers stored by eval, and samples of \
            lm-eval. The answer is searched after </think> or in the short response, never inside the thinking. The \
            rewards are those of train-rl; a rollout log is graded by the rule of its run unless --answer says \
            otherwise. -o writes every row with its verdict.
            """)

    @Argument(help: "Responses, JSON lines.", completion: .file(extensions: ["jsonl", "json"]))
    var inputs: [String]

    @Option(name: [.short, .customLong("output")], help: "Write every row with its verdict to this file.")
    var output: String?

    @Flag(help: "Replace the output if it exists.")
    var force = false

    @OptionGroup(title: "Reward") var rewards: RLRewardArguments
    @OptionGroup(title: "Reward") var rewardValues: RewardValueArguments

    @Flag(help: "Print the summary as JSON.")
    var json = false

    func run() throws {
        if let output { try OutputError.refuse(existing: output, replacing: force) }
        var options = RLOptions()
        rewards.apply(to: &options)
        rewardValues.apply(to: &options.reward.values)
        try options.check()
        let gradings = try inputs.map { try grading(of: $0, options.reward) }
        let total = gradings.count == 1 ? gradings[0] : ResponseGrading(gradings)
        if let output { try total.write(to: output, overwrite: force) }
        let files = gradings.count == 1 ? [] : zip(inputs, gradings).map { (name: $0, tally: $1.all) }
        if json { print(json: total.json(files: files)) } else { print(text(total, files: files)) }
    }

    /// Grades a file; what no option says is as in the run that wrote it.
    private func grading(of path: String, _ options: RewardOptions) throws -> ResponseGrading {
        var options = options
        let responses = try RecordedResponse.read(path: path, requiresAnswer: options.source.needsGroundTruth)
        let judgement = responses.first?.judgement
        if rewards.answer == nil, let rule = judgement?.rule { options.answerRule = rule }
        if rewards.reward == nil, judgement?.source == "exact" { options.source = .exact }
        return try ResponseGrading(
            responses, reward: options.makeReward(), keepsRewards: rewards.reward == nil && !rewardValues.isGiven)
    }

    private func text(_ grading: ResponseGrading, files: [(name: String, tally: ResponseGrading.Tally)]) -> String {
        let width = max(12, (files.map { $0.name.onOneLine(limit: 80).count }.max() ?? 0) + 2)
        var lines = [Format.column("", width) + "responses     right ± SE   wrong  malformed  truncated  reward"]
        for (name, tally) in files + [("all", grading.all)] + grading.byMode + grading.byLevel {
            func share(_ outcome: Outcome, _ width: Int) -> String {
                let share = Double(tally.outcomes[outcome] ?? 0) / Double(max(1, tally.count))
                return Format.column(Format.percent(share), width, alignRight: true)
            }
            lines.append(
                Format.column(name.onOneLine(limit: 80), width)
                    + Format.column(Format.grouped(tally.count), 9, alignRight: true)
                    + Format.column(Format.withError(tally.accuracy), 15, alignRight: true) + share(.wrong, 8)
                    + share(.malformed, 11) + share(.truncated, 11)
                    + Format.column(Format.number(tally.reward.mean), 8, alignRight: true))
        }
        let rules = grading.accuracyByRule.map { "\($0.rule.rawValue) \(Format.percent($0.accuracy, decimals: 1))" }
        if !rules.isEmpty { lines += ["", "right by answer rule: " + rules.joined(separator: ", ")] }
        return lines.joined(separator: "\n")
    }
}
