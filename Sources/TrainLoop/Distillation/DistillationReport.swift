import OrderedJSON

/// The result of a distillation run.
package struct DistillationReport: Sendable {
    /// The problems dropped for one reason.
    package struct Dropped: Sendable, Equatable {
        package var reason: DropReason
        package var count: Int
        /// The id of the first problem.
        package var example: String
        /// The teacher's reason for refusing the first problem, if it did.
        package var detail: String?
    }

    package let problems: Int
    package private(set) var kept = 0
    /// Kept pairs with a truncated answer.
    package private(set) var clipped = 0
    package private(set) var dropped: [Dropped] = []
    /// Problems whose requests all failed; the next run asks again.
    package private(set) var unanswered = 0
    package private(set) var unansweredReason: String?
    package internal(set) var answersFromEarlier = 0
    package internal(set) var answersNow = 0
    /// The lines of the stored answers that were left out.
    package internal(set) var journalDamage = LogDamage()
    package internal(set) var seconds = 0.0
    package internal(set) var wasStopped = false

    /// The answers to problems with a known answer, and how many of them are right.
    package struct Grades: Sendable, Equatable {
        package var right = 0
        package var count = 0
    }

    /// By mode; without a second teacher, the short answers are those after thinking.
    package private(set) var grades: [Mode: Grades] = [:]
    private var bytes: [Mode: [Int]] = [:]
    private var tokens: [Mode: [Int]] = [:]

    init(problems: Int) { self.problems = problems }

    package var droppedCount: Int { dropped.reduce(0) { $0 + $1.count } }
    /// Problems not reached because the run was stopped.
    package var open: Int { problems - kept - droppedCount - unanswered }

    mutating func addUnanswered(_ reason: String) {
        unanswered += 1
        unansweredReason = unansweredReason ?? reason
    }

    mutating func add(
        _ outcome: PairOutcome, _ problem: Problem, think: ModelReply?, short: ModelReply?, _ assembly: PairAssembly
    ) {
        if let truth = problem.knownAnswer {
            for (mode, reply) in [(Mode.think, think), (.short, short ?? think)] {
                guard let answer = reply?.answer else { continue }
                grades[mode, default: Grades()].count += 1
                let isRight = assembly.isRight(answer, short == nil ? .think : mode, truth: truth)
                grades[mode, default: Grades()].right += isRight ? 1 : 0
            }
        }
        switch outcome {
        case .kept(let pair, let isClipped):
            kept += 1
            clipped += isClipped ? 1 : 0
            bytes[.think, default: []].append(pair.think?.text.utf8.count ?? 0)
            bytes[.short, default: []].append(pair.short?.utf8.count ?? 0)
            if let count = think?.answer?.tokenCount { tokens[.think, default: []].append(count) }
            if let count = short?.answer?.tokenCount { tokens[.short, default: []].append(count) }
        case .dropped(let reason):
            if let index = dropped.firstIndex(where: { $0.reason == reason }) {
                dropped[index].count += 1
                return
            }
            var detail: String?
            if case .refused(let text)? = reason == .noShortAnswer ? short : reason == .noThinkAnswer ? think : nil {
                detail = text
            }
            dropped.append(Dropped(reason: reason, count: 1, example: problem.id, detail: detail))
        }
    }

    /// The lengths of kept responses by mode: in the teacher's tokens if it counts them, otherwise in bytes.
    package var lengths: [(mode: Mode, unit: String, spread: LengthSpread)] {
        Mode.allCases.compactMap { mode in
            guard let bytes = bytes[mode] else { return nil }
            if let tokens = tokens[mode], tokens.count == bytes.count { return (mode, "tokens", .init(tokens)) }
            return (mode, "bytes", .init(bytes))
        }
    }

    /// The report; see `schemas/distill-report.schema.json`.
    package var json: JSON {
        [
            "problems": .integer(problems), "kept": .integer(kept), "clipped": .integer(clipped),
            "dropped": .array(
                dropped.sorted { $0.count > $1.count }.map {
                    [
                        "reason": .string($0.reason.rawValue), "count": .integer($0.count),
                        "example": .string($0.example), "detail": $0.detail.map { .string($0) } ?? .null,
                    ]
                }),
            "unanswered": .integer(unanswered),
            "unanswered_reason": unansweredReason.map { .string($0) } ?? .null, "open": .integer(open),
            "answers_from_earlier": .integer(answersFromEarlier), "answers_now": .integer(answersNow),
            "right": .object(
                JSONObject(
                    Mode.allCases.compactMap { mode in
                        grades[mode].map {
                            (mode.rawValue, ["right": .integer($0.right), "of": .integer($0.count)] as JSON)
                        }
                    })),
            "damaged_lines": .integer(journalDamage.damaged), "repeated_lines": .integer(journalDamage.repeated),
            "lengths": .object(
                JSONObject(
                    lengths.map { length in
                        (
                            length.mode.rawValue,
                            [
                                "unit": .string(length.unit), "median": .integer(length.spread.median),
                                "largest": .integer(length.spread.largest),
                            ] as JSON
                        )
                    })),
            "seconds": .double(seconds),
        ]
    }
}
