import Foundation
import OrderedJSON

/// Makes pairs of problems by asking two teachers, or one: many problems at once, every answer in a journal as it comes,
/// every pair in the output as soon as all problems before it are done with.
///
/// The pairs are a function of problems, answers and assembly, in the order of the problems: a run that was killed and
/// gone on with leaves the same file as one that was not.
public struct Distillation: Sendable {
    public let problems: [Problem]
    public let think: any Teacher
    /// nil: the short answer is what follows `</think>`.
    public let short: (any Teacher)?
    public let assembly: PairAssembly
    /// Problems that are asked about at once.
    public let concurrency: Int

    /// - Parameter problemsDigest: names the problems, so that answers are gone on with only for the same.
    public init(
        _ problems: [Problem], think: any Teacher, short: (any Teacher)?, assembly: PairAssembly, concurrency: Int
    ) {
        self.problems = problems
        self.think = think
        self.short = short
        self.assembly = assembly
        self.concurrency = concurrency
    }

    /// Where the pairs go; the journal stands beside them.
    public struct Output: Sendable {
        public let path: String
        public var journalPath: String { path + ".answers" }

        public enum Failure: Error, CustomStringConvertible {
            case exists(String)
            case nothingToResume(String)

            public var description: String {
                switch self {
                case .exists(let path): "\(path): already exists; give --resume to go on, or --force to begin anew"
                case .nothingToResume(let path): "\(path): no answers to go on with; leave --resume out"
                }
            }
        }

        public enum Start: Sendable { case new, resuming, replacing }

        /// - Throws: `Failure` where what is there does not fit how to start.
        public init(path: String, start: Start) throws {
            self.path = path
            let files = FileManager.default
            let isThere = files.fileExists(atPath: path) || files.fileExists(atPath: path + ".answers")
            switch start {
            case .new: if isThere { throw Failure.exists(path) }
            case .resuming:
                if !files.fileExists(atPath: path + ".answers") { throw Failure.nothingToResume(path + ".answers") }
            case .replacing: break
            }
        }
    }

    /// Asks whatever is not answered yet.
    ///
    /// - Parameters:
    ///   - problemsDigest: of the problems' file.
    ///   - progress: gets answered problems and all, of those that were open at the start.
    ///   - isStopping: looked at before every problem; true ends the run after those under way were cancelled.
    /// - Throws: `TeacherError.useless`, `DataFileError`, and others that no further problem would be spared.
    public func run(
        to output: Output, start: Output.Start, problemsDigest: String,
        progress: @escaping @Sendable (Int, Int) -> Void, isStopping: @escaping @Sendable () -> Bool
    ) async throws -> DistillationReport {
        let header: JSON = [
            "answers_of": "ckpt distill", "problems_sha256": .string(problemsDigest), "think": think.settings,
            "short": short?.settings ?? .null,
        ]
        let journal = try AnswerJournal(path: output.journalPath, header: header, isNew: start == .replacing)
        let record = try DistillationRecord(self, journal: journal, output: output)
        let open = record.open
        let started = ContinuousClock.now
        do {
            try await ask(open, record, progress: progress, isStopping: isStopping)
        } catch {
            try await record.finish()
            // A run that never got an answer leaves nothing that would have to be replaced.
            if start == .new, await record.report(seconds: 0, wasStopped: true).answersNow == 0 {
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
        // Failures in a row, with no answer in between: the teacher is gone.
        var failures = 0
        let patience = max(8, 2 * concurrency)
        try await withThrowingTaskGroup(of: String?.self) { group in
            // A stop must not wait for answers that take minutes.
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
                failures = failure == nil ? 0 : failures + 1
                if let failure, failures >= patience {
                    throw TeacherError.useless("\(failure); \(failures) problems in a row went without an answer")
                }
            }
            group.cancelAll()
        }
    }

    /// - Returns: why the problem has no answer, or nil.
    private func askBoth(_ index: Int, _ record: DistillationRecord) async throws -> String? {
        // One teacher's failure does not take back the question to the other.
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
