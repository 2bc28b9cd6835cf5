import CheckpointIO
import Foundation
import OrderedJSON

/// The state of every problem during distillation, and its output files.
actor DistillationRecord {
    private struct Halves {
        var think: ModelReply?
        var short: ModelReply?
    }

    /// A finished problem, waiting for earlier ones.
    private enum FinishedProblem {
        case outcome(PairOutcome, Halves)
        case unanswered
    }

    private let distillation: Distillation
    private let journal: AnswerJournal
    private let path: String
    private let descriptor: Int32
    /// Problems with a missing reply.
    private var halves: [Int: Halves] = [:]
    private var finished: [Int: FinishedProblem] = [:]
    /// All earlier problems are written or dropped.
    private var next = 0
    private var tally: DistillationReport
    /// The problems to ask about, in order.
    nonisolated let open: [Int]

    /// Reads the journal, writes the pairs of its answers, and then replaces an earlier output.
    init(_ distillation: Distillation, journal: AnswerJournal, output: Distillation.Output) throws {
        self.distillation = distillation
        self.journal = journal
        path = output.path
        tally = DistillationReport(problems: distillation.problems.count)
        let file = try AtomicFile(output.path, overwrite: true)
        descriptor = try file.create()
        do {
            var answered = 0
            var isComplete = [Bool](repeating: false, count: distillation.problems.count)
            var waiting: [Int: Halves] = [:]
            var outcomes: [Int: FinishedProblem] = [:]
            var position = 0
            var report = tally
            let write = { [descriptor, path] (pair: Pair) throws in
                try LineLog.append(pair.json.serialized() + "\n", to: descriptor, path: path)
            }
            let damage = try journal.forEach(problemCount: distillation.problems.count) { entry in
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
                try Self.release(&outcomes, &position, &report, distillation, write)
            }
            report.answersFromEarlier = answered
            report.journalDamage = damage
            (halves, finished, next, tally) = (waiting, outcomes, position, report)
            open = isComplete.indices.filter { !isComplete[$0] }
            try file.commit()
        } catch {
            file.discard()
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    func isOpen(_ problem: Int, _ mode: Mode) -> Bool {
        // The other teacher may have completed the problem meanwhile.
        guard problem >= next, finished[problem] == nil else { return false }
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
        finished[entry.problem] = .outcome(outcome, known)
        try release()
    }

    /// Leaves a problem for a later run, so that later problems need not wait for it.
    func giveUp(_ problem: Int, _ reason: String) throws {
        tally.addUnanswered(reason)
        finished[problem] = .unanswered
        try release()
    }

    /// Writes all finished pairs, including those after unfinished problems.
    func finish() throws {
        for problem in finished.keys.sorted() {
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
        try Self.release(&finished, &next, &tally, distillation) { [descriptor, path] pair in
            try LineLog.append(pair.json.serialized() + "\n", to: descriptor, path: path)
        }
    }

    /// Writes and counts finished problems from `next` up to the first unfinished one.
    private static func release(
        _ finished: inout [Int: FinishedProblem], _ next: inout Int, _ tally: inout DistillationReport,
        _ distillation: Distillation, _ write: (Pair) throws -> Void
    ) throws {
        while let problem = finished.removeValue(forKey: next) {
            if case .outcome(let outcome, let halves) = problem {
                if case .kept(let pair, _) = outcome { try write(pair) }
                tally.add(
                    outcome, distillation.problems[next], think: halves.think, short: halves.short,
                    distillation.assembly)
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

    /// The outcome for a problem; nil while a reply is missing.
    private static func outcome(_ halves: Halves, _ problem: Int, _ distillation: Distillation) -> PairOutcome? {
        guard let think = halves.think else { return nil }
        let source: ShortResponseSource
        if distillation.short == nil {
            source = .textAfterThinking
        } else {
            guard let short = halves.short else { return nil }
            source = short.answer.map { .teacher($0) } ?? .missing
        }
        return distillation.assembly.pair(distillation.problems[problem], think: think.answer, short: source)
    }
}
