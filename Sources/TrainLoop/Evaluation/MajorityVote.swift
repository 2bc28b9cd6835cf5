/// The vote of several samples of a problem on its answer: self-consistency (arXiv 2203.11171).
///
/// A sample votes if it is complete and well formed and has an answer by the rule; if none votes, the vote is wrong.
/// Answers are equal if the grader accepts one for the other. All right answers are equal to the truth, hence to one
/// another. If several answers have the most votes, one of them is drawn, so the result is the share of right ones
/// among them and does not depend on the order of the samples.
struct MajorityVote {
    /// The chance that the answer with the most votes is right.
    let chanceOfRight: Double

    /// The comparisons of wrong answers at most, enough for 64 different ones; later ones count as different from those
    /// before.
    private static let maximumComparisons = 2048

    init(of samples: [Evaluation.Answer], by rule: AnswerRule) {
        let right = samples.count { $0.isRight(by: rule) }
        let wrong = samples.compactMap { $0.outcomes[rule] == .wrong ? $0.found[rule]?.trimmed : nil }
        // Most votes are decided without comparing answers.
        guard right > 0, right <= wrong.count else {
            chanceOfRight = right > 0 ? 1 : 0
            return
        }
        let texts = Dictionary(wrong.map { ($0, 1) }, uniquingKeysWith: +)
        var parties: [(answer: String, votes: Int)] = []
        var comparisons = 0
        for (text, votes) in texts.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            let party = parties.prefix(Self.maximumComparisons - comparisons).firstIndex { party in
                comparisons += 1
                return MathGrader.areEquivalent(text, party.answer) || MathGrader.areEquivalent(party.answer, text)
            }
            if let party { parties[party].votes += votes } else { parties.append((text, votes)) }
            guard parties[party ?? parties.count - 1].votes <= right else {
                chanceOfRight = 0
                return
            }
        }
        chanceOfRight = 1 / Double(1 + parties.count { $0.votes == right })
    }
}
