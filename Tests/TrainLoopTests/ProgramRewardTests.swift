import Foundation
import TestSupport
import Testing
import TrainLoop

private let control = ControlTokens(think: 1, thinkEnd: 2, short: 3)

private func query(_ tokens: [Int], _ response: String = "r") -> RewardQuery {
    RewardQuery(
        problem: Problem(id: "p", problem: "1+1=?", answer: "2"),
        form: ResponseForm(tokens, control: control, stopTokens: [0]), answerText: "2", responseText: response)
}

@Suite struct ProgramRewardTests {
    private let short = [3, 9, 0]
    private let think = [1, 9, 2, 9, 0]

    private func reward(_ command: String, timeout: Double = 10) throws -> ProgramReward {
        try ProgramReward(command: command, timeout: timeout, values: .init(), rule: .bare)
    }

    /// A loop that answers each line with the output of `answer`; `$n` is the number of responses in the batch.
    private func loop(_ answer: String) -> String {
        "while read -r line; do n=$(printf '%s' \"$line\" | grep -o '\"response\"' | wc -l); \(answer); done"
    }

    @Test func verdictsAndRewards() throws {
        let reward = try reward(
            loop(
                #"if [ $n = 0 ]; then echo '{"results": []}'; else "#
                    + #"echo '{"results": [true, false, {"right": true, "reward": 0.25}]}'; fi"#))
        // Malformed and truncated responses are not sent: three of five are.
        let verdicts = try reward.score([
            query(short), query([3, 3, 0]), query(think), query([1, 9]), query(think),
        ])
        #expect(verdicts.map(\.outcome) == [.right, .malformed, .wrong, .truncated, .right])
        #expect(verdicts.map(\.reward) == [1, -1, -1, -1, 0.25])
        #expect(verdicts[0].answer == "2")
        // The same process answers the next batch.
        #expect(try reward.score([query(short), query(short), query(short)]).map(\.reward) == [1, -1, 0.25])
        #expect(try reward.score([query([3, 3, 0])]).map(\.reward) == [-1])
    }

    /// A batch far larger than a pipe's buffer, answered before all of it is read.
    @Test func largeBatches() throws {
        let reward = try reward(
            #"read -r line; echo '{"results": []}'; head -c 1 > /dev/null; printf '{"results": ['; i=0; "#
                + #"while [ $i -lt 20000 ]; do printf 'false, '; i=$((i+1)); done; echo 'true]}'; cat > /dev/null"#)
        let long = String(repeating: "x", count: 50)
        let verdicts = try reward.score((0...20_000).map { _ in query(short, long) })
        #expect(verdicts.count == 20_001 && verdicts.last?.outcome == .right && verdicts[0].outcome == .wrong)
    }

    @Test func failuresAreNamed() throws {
        let asked = [query(short), query(think)]
        #expect(
            failure { _ = try reward("no-such-program 2>/dev/null") }
                == "the reward program `no-such-program 2>/dev/null` exited with status 127 instead of answering"
        )
        let once = #"read -r line; echo '{"results": []}'; read -r line; "#
        let cases: [(String, String)] = [
            ("exit 3", "exited with status 3 instead of answering"),
            ("kill -9 $$", "was killed by signal 9 instead of answering"),
            ("echo nonsense; cat", #"answered "nonsense", which is not a line {"results": […]}"#),
            (#"echo '{"results": [true]}'; cat"#, "returned 1 result for 2 responses"),
            (
                #"echo '{"results": [true, 7]}'; cat"#,
                #"returned 7 as result 2; it must be true, false, or {"right": true, "reward": 0.3}"#
            ),
            ("exec >&-; sleep 9", "closed its output instead of answering"),
        ]
        for (command, expected) in cases {
            let reward = try reward(once + command)
            let found = failure { _ = try reward.score(asked) }
            #expect(found.hasSuffix("` " + expected), "\(found)")
        }
        let slow = try reward(once + "exec sleep 5", timeout: 0.2)
        #expect(failure { _ = try slow.score(asked) }.hasSuffix("gave no answer within 0.2 s (--reward-timeout)"))
    }

    @Test func extraLinesAreErrors() throws {
        let reward = try reward(#"while read -r line; do printf '{"results": []}\n{"results": []}\n'; done"#)
        // The initializer has already sent an empty batch.
        let found = failure { _ = try reward.score([query(short)]) }
        #expect(found.hasSuffix("wrote more than one line for a batch"), "\(found)")
    }
}
