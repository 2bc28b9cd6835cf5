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

    // MARK: - Processes

    /// The processes whose command line has this text.
    private func processes(with text: String) -> [String] {
        let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { Int($0) != nil }
        return numbers.filter { number in
            guard let line = try? Data(contentsOf: URL(filePath: "/proc/\(number)/cmdline")) else { return false }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }

    @Test func noChildOutlivesAProgram() throws {
        let once = #"read -r line; echo '{"results": []}'; read -r line; "#
        let answers = #"while read -r line; do echo '{"results": []}'; done"#
        // Commands that answer the first batch, and whether they fail on the second.
        let cases: [(command: (String) -> String, fails: Bool)] = [
            ({ "sleep \($0) & \(answers)" }, false), ({ "(sleep \($0) &) ; \(answers); sleep \($0)" }, false),
            ({ once + "sleep \($0)" }, true), ({ once + "sleep \($0) & exit 3" }, true),
            ({ "trap '' TERM; sleep \($0) & \(once) while true; do sleep \($0); done" }, true),
            ({ once + "sleep \($0) & echo nonsense; cat" }, true),
        ]
        for (index, (command, fails)) in cases.enumerated() {
            let mark = "77\(index).\(ProcessInfo.processInfo.processIdentifier)"
            do {
                let reward = try reward(command(mark), timeout: 0.5)
                if fails {
                    #expect(throws: RewardError.self) { try reward.score([query(short)]) }
                    // The error has ended the program, not only the end of the object.
                    #expect(processes(with: mark).isEmpty, "\(command(mark))")
                    #expect(failure { _ = try reward.score([query(short)]) }.contains("has ended"))
                } else {
                    withExtendedLifetime(reward) { #expect(!processes(with: mark).isEmpty, "\(command(mark))") }
                }
            }
            #expect(processes(with: mark).isEmpty, "\(command(mark))")
        }
    }

    @Test func errorsQuoteTheEndOfStderr() throws {
        let once = #"read -r line; echo '{"results": []}'; read -r line; "#
        let cases: [(String, String)] = [
            (
                "printf 'Traceback:\\n  here\\nValueError: \\033[2Jno\\n' >&2; exit 1",
                #"exited with status 1 instead of answering; its stderr ends with "Traceback:; here; "#
                    + #"ValueError: \u{1b}[2Jno""#
            ),
            ("head -c 9000000 /dev/zero | tr '\\0' x >&2; exit 7", #"xxx""#),
        ]
        for (command, expected) in cases {
            let reward = try reward(once + command)
            let found = failure { _ = try reward.score([query(short)]) }
            #expect(found.hasSuffix(expected) && !found.contains("\n") && found.count < 600, "\(found)")
        }
        // A program that only writes messages is not blocked by them.
        let chatty = try reward(
            #"while read -r line; do head -c 300000 /dev/zero >&2; echo '{"results": []}'; done"#)
        #expect(failure { _ = try chatty.score([query(short)]) }.contains("returned 0 results for 1 response"))
    }

    @Test func floodsAndPartsOfAnswers() throws {
        let once = #"read -r line; echo '{"results": []}'; read -r line; "#
        let flood = try reward(once + "exec cat /dev/zero")
        #expect(failure { _ = try flood.score([query(short)]) }.contains("answered with more than 64 MiB"))
        let parts = try reward(
            once + #"printf '{"resu'; sleep 0.1; printf 'lts": [tr'; sleep 0.1; echo 'ue]}'; cat"#)
        #expect(try parts.score([query(short)]).map(\.outcome) == [.right])
        // The answer to one batch and, later, another line.
        let late = try reward(once + #"echo '{"results": [true]}'; sleep 0.1; echo '{"results": [true]}'; cat"#)
        #expect(try late.score([query(short)]).count == 1)
        Thread.sleep(forTimeInterval: 0.5)
        #expect(failure { _ = try late.score([query(short)]) }.hasSuffix("wrote more than one line for a batch"))
    }
}
