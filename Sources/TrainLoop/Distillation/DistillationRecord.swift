import Foundation
import OrderedJSON

/// What is known of every problem while teachers are asked, and the files that it goes to.
actor DistillationRecord {
    private struct Halves {
        var think: TeacherReply?
        var short: TeacherReply?
    }

    /// A problem that is done with, waiting for those before it.
    private enum Done {
        case outcome(PairAssembly.Outcome, Halves)
        case unanswered
    }

    private let distillation: Distillation
    private let journal: AnswerJournal
    private let path: String
    private let descriptor: Int32
    /// Problems of which some halves are still to come.
    private var halves: [Int: Halves] = [:]
    private var done: [Int: Done] = [:]
    /// All problems before this one are in the output or dropped.
    private var next = 0
    private var tally: DistillationReport
    /// Problems to ask about, in order.
    nonisolated let open: [Int]

    /// Goes through the journal, and writes the pairs that its answers make; they take the place of an earlier output
    /// when they are complete.
    init(_ distillation: Distillation, journal: AnswerJournal, output: Distillation.Output) throws {
        self.distillation = distillation
        self.journal = journal
        path = output.path
        tally = DistillationReport(problems: distillation.problems.count, hasShortTeacher: distillation.short != nil)
        let temporary = output.path + ".\(getpid()).tmp"
        descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw DataFileError(path: output.path, reason: "cannot write: \(String(cString: strerror(errno)))")
        }
        do {
            var answered = 0
            var isComplete = [Bool](repeating: false, count: distillation.problems.count)
            var waiting: [Int: Halves] = [:]
            var outcomes: [Int: Done] = [:]
            var position = 0
            var report = tally
            let write = { [descriptor, path] (pair: Pair) throws in
                try LineOutput.append(pair.json, to: descriptor, path: path)
            }
            try journal.forEach(problemCount: distillation.problems.count) { entry in
                answered += 1
                guard !isComplete[entry.problem] else { return }
                let known = Self.adding(entry, to: waiting[entry.problem])
                guard let outcome = Self.outcome(known, entry.problem, distillation) else {
                    waiting[entry.problem] = known
                    return
                }
                waiting[entry.problem] = nil
                isComplete[entry.problem] = true
                outcomes[entry.problem] = .outcome(outcome, known)
                try Self.release(&outcomes, &position, &report, distillation.problems, write)
            }
            report.answersFromEarlier = answered
            (halves, done, next, tally) = (waiting, outcomes, position, report)
            open = isComplete.indices.filter { !isComplete[$0] }
            guard rename(temporary, output.path) == 0 else {
                throw DataFileError(path: output.path, reason: "cannot write: \(String(cString: strerror(errno)))")
            }
        } catch {
            unlink(temporary)
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    func isOpen(_ problem: Int, _ mode: Mode) -> Bool {
        let known = halves[problem]
        return (mode == .think ? known?.think : known?.short) == nil
    }

    func accept(_ entry: AnswerJournal.Entry) throws {
        try journal.append(entry, id: distillation.problems[entry.problem].id)
        tally.answersNow += 1
        let known = Self.adding(entry, to: halves[entry.problem])
        halves[entry.problem] = known
        guard let outcome = Self.outcome(known, entry.problem, distillation) else { return }
        halves[entry.problem] = nil
        done[entry.problem] = .outcome(outcome, known)
        try release()
    }

    /// The problem stays open for a later run; those behind it need not wait.
    func giveUp(_ problem: Int, _ reason: String) throws {
        tally.addUnanswered(reason)
        done[problem] = .unanswered
        try release()
    }

    /// Pairs that wait behind a problem which was not come to are written too.
    func finish() throws {
        for problem in done.keys.sorted() {
            next = problem
            try release()
        }
        fsync(descriptor)
    }

    func report(seconds: Double, wasStopped: Bool) -> DistillationReport {
        var report = tally
        report.seconds = seconds
        report.wasStopped = wasStopped
        return report
    }

    private func release() throws {
        try Self.release(&done, &next, &tally, distillation.problems) { [descriptor, path] pair in
            try LineOutput.append(pair.json, to: descriptor, path: path)
        }
    }

    private static func release(
        _ done: inout [Int: Done], _ next: inout Int, _ tally: inout DistillationReport, _ problems: [Problem],
        _ write: (Pair) throws -> Void
    ) throws {
        while let finished = done.removeValue(forKey: next) {
            if case .outcome(let outcome, let halves) = finished {
                if case .kept(let pair, _) = outcome { try write(pair) }
                tally.add(outcome, problems[next], think: halves.think, short: halves.short)
            }
            next += 1
        }
    }

    private static func adding(_ entry: AnswerJournal.Entry, to halves: Halves?) -> Halves {
        var halves = halves ?? Halves()
        switch entry.mode {
        case .think: halves.think = halves.think ?? entry.reply
        case .short: halves.short = halves.short ?? entry.reply
        }
        return halves
    }

    /// nil while a half is missing.
    private static func outcome(_ halves: Halves, _ problem: Int, _ distillation: Distillation) -> PairAssembly.Outcome?
    {
        guard let think = halves.think else { return nil }
        let problem = distillation.problems[problem]
        if distillation.short == nil {
            return distillation.assembly.pair(problem, think: think.answer, short: nil)
        }
        guard let short = halves.short else { return nil }
        return distillation.assembly.pair(problem, think: think.answer, short: .some(short.answer))
    }
}

extension TeacherReply {
    var answer: TeacherAnswer? {
        if case .answer(let answer) = self { answer } else { nil }
    }
}
