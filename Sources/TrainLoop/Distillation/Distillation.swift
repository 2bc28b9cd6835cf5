import CheckpointIO
import DataFiles
import Foundation
import OrderedJSON

/// Makes pairs by asking one or two teachers about many problems concurrently.
///
/// Every answer goes to a journal as soon as it arrives, every pair to the output once all earlier problems are
/// finished. The pairs depend only on problems, answers and assembly, in the order of the problems. A run that was
/// killed and resumed therefore writes the same file as an uninterrupted one.
package struct Distillation: Sendable {
    let problems: [Problem]
    let think: any Teacher
    /// Without a second teacher, the short response is the text after `</think>`.
    let short: (any Teacher)?
    let assembly: PairAssembly
    /// The number of problems in progress at once.
    private let concurrency: Int

    package init(
        _ problems: [Problem], think: any Teacher, short: (any Teacher)?, assembly: PairAssembly, concurrency: Int
    ) {
        self.problems = problems
        self.think = think
        self.short = short
        self.assembly = assembly
        self.concurrency = concurrency
    }

    /// The path of the pairs, and whether the run is new; the journal is next to the pairs.
    package struct Output: Sendable {
        package enum Start: Sendable { case new, resuming, replacing }

        let path: String
        let start: Start
        var journalPath: String { path + ".answers" }

        /// - Throws: `DataFileError` if the existing files do not fit the kind of start, `CheckpointError` if one is a
        ///   symbolic link.
        package init(path: String, start: Start) throws {
            self.path = path
            let journalPath = path + ".answers"
            for file in [path, journalPath] { try AtomicFile.refuseLink(at: file) }
            let hasJournal = FileManager.default.fileExists(atPath: journalPath)
            // A run that was ended before its first answer does not block the next one.
            let isUnanswered = try start == .new && hasJournal && Self.isUnanswered(path, journalPath)
            self.start = isUnanswered ? .replacing : start
            if self.start == .new, hasJournal || FileManager.default.fileExists(atPath: path) {
                throw DataFileError(
                    path: path, reason: "already exists; give --resume to go on, or --force to start over")
            }
            if start == .resuming, !hasJournal {
                throw DataFileError(path: journalPath, reason: "no answers to resume from; leave --resume out")
            }
        }

        /// Whether the file of pairs is empty and the journal has no answer.
        private static func isUnanswered(_ path: String, _ journalPath: String) throws -> Bool {
            var status = stat()
            guard stat(path, &status) != 0 || status.st_size == 0 else { return false }
            var journal = try LineReader(path: journalPath)
            guard let first = try journal.next() else { return true }
            guard (try? JSON.parse(Array(first)))?["answers_of"] != nil else { return false }
            return try journal.next() == nil
        }
    }

    /// Asks all questions without an answer yet.
    ///
    /// - Parameters:
    ///   - output: the destination.
    ///   - problemsDigest: SHA-256 of the problem file; a journal is resumed only for the same file.
    ///   - progress: receives the number of answered problems and of all problems that were open at the start.
    ///   - isStopping: checked before every problem; true cancels the questions in progress and ends the run.
    /// - Returns: a report of all pairs and of this run.
    /// - Throws: `TeacherError.useless`, `DataFileError`, and other errors that would affect every further problem.
    package func run(
        to output: Output, problemsDigest: String, progress: @escaping @Sendable (Int, Int) -> Void,
        isStopping: @escaping @Sendable () -> Bool
    ) async throws -> DistillationReport {
        let header: JSON = [
            "answers_of": "ckpt distill", "problems_sha256": .string(problemsDigest), "think": think.settings,
            "short": short?.settings ?? .null,
        ]
        let journal = try AnswerJournal(
            path: output.journalPath, header: header, replacing: output.start == .replacing)
        let record = try DistillationRecord(self, journal: journal, output: output)
        let open = record.open
        let started = ContinuousClock.now
        do {
            try await ask(open, record, progress: progress, isStopping: isStopping)
        } catch {
            try await record.finish()
            // Without any answer, the new files are removed, so that the next run needs no --force.
            if output.start == .new, await record.report(seconds: 0, wasStopped: true).answersNow == 0 {
                unlink(output.path)
                unlink(output.journalPath)
            }
            throw error
        }
        try await record.finish()
        return await record.report(
            seconds: Double((ContinuousClock.now - started) / .seconds(1)), wasStopped: isStopping())
    }

    private func ask(
        _ open: [Int], _ record: DistillationRecord, progress: @escaping @Sendable (Int, Int) -> Void,
        isStopping: @escaping @Sendable () -> Bool
    ) async throws {
        var done = 0
        progress(done, open.count)
        var consecutiveFailures = 0
        let maximumFailures = max(8, 2 * concurrency)
        try await withThrowingTaskGroup(of: String?.self) { group in
            // This task returns on a stop request, so that a stop does not wait for answers that take minutes.
            group.addTask {
                while !isStopping(), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(100)) }
                return nil
            }
            var rest = open[...]
            var running = 0
            while !isStopping() {
                while running < concurrency, let index = rest.popFirst() {
                    group.addTask { try await askBoth(index, record) }
                    running += 1
                }
                guard running > 0, let failure = try await group.next() else { break }
                if isStopping() { break }
                running -= 1
                done += 1
                progress(done, open.count)
                consecutiveFailures = failure == nil ? 0 : consecutiveFailures + 1
                if let failure, consecutiveFailures >= maximumFailures {
                    throw TeacherError.useless("\(failure); \(consecutiveFailures) consecutive problems got no answer")
                }
            }
            group.cancelAll()
        }
    }

    /// Returns the reason if the problem has no answer, otherwise nil.
    private func askBoth(_ index: Int, _ record: DistillationRecord) async throws -> String? {
        // The failure of one teacher does not cancel the question to the other.
        async let long = ask(think, .think, index, record)
        async let brief = ask(short, .short, index, record)
        let failures = [try await long, try await brief]
        guard let failure = failures.compactMap({ $0 }).first else { return nil }
        try await record.giveUp(index, failure)
        return failure
    }

    private func ask(
        _ teacher: (any Teacher)?, _ mode: Mode, _ index: Int, _ record: DistillationRecord
    ) async throws -> String? {
        guard let teacher, await record.isOpen(index, mode) else { return nil }
        do {
            let reply = try await teacher.answer(problems[index], at: index)
            try await record.accept(AnswerJournal.Entry(problem: index, mode: mode, reply: reply))
            return nil
        } catch TeacherError.unanswered(let reason) { return reason }
    }
}
