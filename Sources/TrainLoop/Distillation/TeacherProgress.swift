/// How much a teacher has written in a run.
package struct TeacherProgress: Sendable, Equatable {
    /// The tokens of all answers, unfinished ones too if the teacher tells.
    package var tokens = 0
    /// The finished answers whose tokens are known.
    package var answers = 0
    /// The tokens of these.
    package var answerTokens = 0
    /// The largest number of tokens of an answer.
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    /// The tokens that are missing to `total` answers, judged by the finished ones, or at most if there are none.
    package func tokensLeft(to total: Int) -> Double {
        let mean = answers > 0 ? Double(answerTokens) / Double(answers) : Double(limit)
        return max(Double(max(total - answers, 0)) * mean - Double(tokens - answerTokens), 0)
    }
}
