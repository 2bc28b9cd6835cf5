import Parallel

extension GenerationSession {
    /// Generates one token of every active sample that is not being computed again.
    func advance() {
        makeRoom()
        extendContext()
        for row in active { row.grow() }
        let count = active.count
        var draws = [(token: Int, logProbability: Float)](repeating: (0, 0), count: count)
        let parts = sharesRows ? min(steps.count, count) : 1
        draws.withUnsafeMutableBufferPointer { draws in
            if parts > 1 {
                ThreadTeam.everyone.forEach(parts) { part, _ in
                    let range = (count * part / parts)..<(count * (part + 1) / parts)
                    step(.alone, steps[part], range, draws)
                }
            } else {
                step(sharesRows ? .alone : .everyone, steps[0], 0..<count, draws)
            }
        }
        var index = 0
        active.removeAll { row in
            defer { index += 1 }
            return !row.isReplaying && !take(row, draws[index])
        }
        progress?(generated)
    }

    private func step(
        _ team: ThreadTeam, _ step: DecodeStep, _ range: Range<Int>,
        _ draws: UnsafeMutableBufferPointer<(token: Int, logProbability: Float)>
    ) {
        let vocabulary = model.configuration.vocabularySize
        let logits = step.logits(team, active[range])
        team.forEach(range.count) { item, _ in
            let line = logits + item * vocabulary
            let row = active[range.lowerBound + item]
            if row.isReplaying { return }
            if let forced = row.pending.first {
                draws[range.lowerBound + item] = (
                    forced, Sampling.logProbability(of: forced, line, vocabulary, rule)
                )
            } else {
                draws[range.lowerBound + item] = Sampling.draw(
                    line, vocabulary, rule, uniform: uniform(row), scratch: line)
            }
        }
    }
}
