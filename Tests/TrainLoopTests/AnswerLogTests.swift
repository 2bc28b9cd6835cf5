import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop

@Suite struct AnswerLogTests {
    private let problems = (0..<3).map { Problem(id: "p\($0)", problem: "\($0)+1=?", answer: "\($0 + 1)", level: "L") }
    private let subject = AnswerLog.Subject(checkpoint: "a.h5", weightsDigest: "abc", data: "test")
    private let facts = EvaluationHooks.PromptFacts(
        tokenCounts: [5, 6, 7], firstToken: [(0.25, 0.5), (0.5, 0.25), (1, 0)])
    private let answers = (0..<3).flatMap { problem in
        [nil, Mode.think].map { forced in
            Evaluation.Answer(
                problem: problem, forced: forced, sample: problem, mode: problem == 1 ? nil : .think,
                outcomes: [.any: .right, .boxed: .malformed, .bare: .wrong], found: [.any: "4"],
                isTruncated: problem == 2, isThinkingCut: forced != nil, tokenCount: 9, text: "<think>\né\n</think>")
        }
    }

    private func write(_ path: String, _ options: Evaluation.Options = .init()) throws {
        let log = try AnswerLog(path: path, options: options, replacing: false)
        try log.append(Array(answers[..<2]), of: subject, to: problems, facts)
        try log.append(Array(answers[2...]), of: subject, to: problems, facts)
    }

    @Test func storedAnswersAreReadBack() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("answers.jsonl")
        try write(path)
        let log = try AnswerLog(path: path, options: .init(), replacing: false)
        #expect(try log.kept(of: subject, to: problems).answers == answers)
        #expect(try log.kept(of: subject, to: problems).firstToken == [0: [0.25, 0.5], 1: [0.5, 0.25], 2: [1, 0]])
        // Other weights, other data, and fewer problems.
        for (digest, data) in [("x", "test"), ("abc", "b")] {
            let other = AnswerLog.Subject(checkpoint: "a.h5", weightsDigest: digest, data: data)
            let kept = try log.kept(of: other, to: problems)
            #expect(kept.answers.isEmpty && kept.firstToken.isEmpty)
        }
        #expect(try log.kept(of: subject, to: [problems[0]]).answers.count == 2)
    }

    @Test(arguments: [1, 30, 200]) func incompleteLineIsDropped(_ cut: Int) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("answers.jsonl")
        try write(path)
        let whole = try Data(contentsOf: URL(filePath: path))
        try whole.dropLast(cut).write(to: URL(filePath: path))
        do {
            let log = try AnswerLog(path: path, options: .init(), replacing: false)
            #expect(try log.kept(of: subject, to: problems).answers == Array(answers.dropLast()))
            try log.append([answers[5]], of: subject, to: problems, facts)
        }
        #expect(try Data(contentsOf: URL(filePath: path)) == whole)
    }

    @Test func otherSettingsAreErrors() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("answers.jsonl")
        try write(path)
        var options = Evaluation.Options()
        options.temperature = 1
        #expect(
            failure { _ = try AnswerLog(path: path, options: options, replacing: false) }
                == path
                + ", line 1: the answers have other settings (temperature 0.6, now 1); give another file, "
                + "or --force to replace this one")
        _ = try AnswerLog(path: path, options: options, replacing: true)
        #expect(try Data(contentsOf: URL(filePath: path)).isEmpty)
        // Options that do not affect sampling may differ.
        try write(path)
        options = .init()
        options.rule = .boxed
        options.conditions = [.short]
        let log = try AnswerLog(path: path, options: options, replacing: false)
        #expect(try log.kept(of: subject, to: problems).answers == answers)
    }

    @Test func otherProblemsAndOtherFilesAreErrors() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("answers.jsonl")
        try write(path)
        do {
            let log = try AnswerLog(path: path, options: .init(), replacing: false)
            var others = problems
            others[1].answer = "9"
            let message = failure { _ = try log.kept(of: subject, to: others).answers }
            #expect(message.hasPrefix(path + ", line 3: the row answers another problem than row 2 of test"))
            #expect(
                failure { _ = try AnswerLog(path: path, options: .init(), replacing: false) }
                    == path + ": another process is writing to it; give another file")
        }
        let data = try folder.write("{\"problem\":\"1+1?\",\"answer\":\"2\"}\n", to: "data.jsonl")
        #expect(
            failure { _ = try AnswerLog(path: data, options: .init(), replacing: false) }
                .hasPrefix(data + ", line 1: the row is not an answer stored by ckpt eval"))
        #expect(try String(contentsOfFile: data, encoding: .utf8) == "{\"problem\":\"1+1?\",\"answer\":\"2\"}\n")
        let nowhere = folder.path("none/answers.jsonl")
        #expect(
            failure { _ = try AnswerLog(path: nowhere, options: .init(), replacing: false) }
                == nowhere + ": cannot write: no such file or directory; check the path")
    }

    @Test func damagedRowsAreLeftOutAndCounted() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("answers.jsonl")
        try write(path)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let lines = text.split(separator: "\n").map(String.init)
        for (old, new) in [
            ("\"sample\":0", "\"sample\":-1"), ("\"tokens\":9", "\"tokens\":\"9\""),
            ("\"any\":\"right\"", "\"any\":\"x\""), (lines[0], String(repeating: "\0", count: 40)),
            (lines[0], String(lines[0].prefix(50)) + lines[2]),
        ] {
            let changed = lines[0].replacing(old, with: new)
            let damaged = ([changed] + lines.dropFirst() + [lines[1]]).joined(separator: "\n") + "\n"
            let log = try AnswerLog(
                path: try folder.write(damaged, to: "damaged.jsonl"), options: .init(), replacing: false)
            // The row that follows a cut one on its line is whole, so its repetition is left out.
            let repeated = changed.hasSuffix(lines[2]) ? 2 : 1
            #expect(log.damage.lines == 7 && log.damage.damaged == 1 && log.damage.repeated == repeated, "\(new)")
            let whole = try log.kept(of: subject, to: problems).answers
            #expect(whole.count == answers.count - 1 && answers.dropFirst().allSatisfy(whole.contains), "\(new)")
            #expect(try String(contentsOfFile: folder.path("damaged.jsonl"), encoding: .utf8) == damaged)
        }
        let only = try folder.write(lines[0].replacing("\"sample\":0", with: "\"sample\":-1") + "\n", to: "only.jsonl")
        #expect(
            failure { _ = try AnswerLog(path: only, options: .init(), replacing: false) }.hasPrefix(only + ", line 1: ")
        )
    }

    @Test func aFileWithoutAnswersIsNotLeft() throws {
        let folder = try TemporaryFolder()
        _ = try AnswerLog(path: folder.path("new.jsonl"), options: .init(), replacing: false)
        #expect(try folder.names().isEmpty)
        try folder.write("", to: "given.jsonl")
        _ = try AnswerLog(path: folder.path("given.jsonl"), options: .init(), replacing: false)
        #expect(try folder.names() == ["given.jsonl"])
    }
}
