import OrderedJSON

/// What came of asking teachers.
public struct DistillationReport: Sendable {
    /// Problems that were dropped for one reason.
    public struct Dropped: Sendable, Equatable {
        public var reason: DropReason
        public var count: Int
        /// The id of the first problem.
        public var example: String
        /// What its teacher said, where it gave no answer.
        public var detail: String?
    }

    public let problems: Int
    public let hasShortTeacher: Bool
    public internal(set) var kept = 0
    /// Kept though an answer was cut off.
    public internal(set) var clipped = 0
    public internal(set) var dropped: [Dropped] = []
    /// Problems that every try failed for; another run asks again.
    public internal(set) var unanswered = 0
    public internal(set) var unansweredReason: String?
    public internal(set) var answersFromEarlier = 0
    public internal(set) var answersNow = 0
    public internal(set) var seconds = 0.0
    public internal(set) var wasStopped = false

    private var bytes: [Mode: [Int]] = [:]
    private var tokens: [Mode: [Int]] = [:]

    init(problems: Int, hasShortTeacher: Bool) {
        self.problems = problems
        self.hasShortTeacher = hasShortTeacher
    }

    public var droppedCount: Int { dropped.reduce(0) { $0 + $1.count } }
    /// Problems that were not come to, since the run was stopped.
    public var open: Int { problems - kept - droppedCount - unanswered }

    mutating func addUnanswered(_ reason: String) {
        unanswered += 1
        unansweredReason = unansweredReason ?? reason
    }

    mutating func add(
        _ outcome: PairAssembly.Outcome, _ problem: Problem, think: TeacherReply?, short: TeacherReply?
    ) {
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

    /// Lengths of the kept pairs by mode, with their unit: tokens as the teacher counted them, otherwise bytes.
    public var lengths: [(mode: Mode, unit: String, spread: DataCheck.Spread)] {
        Mode.allCases.compactMap { mode in
            guard let bytes = bytes[mode] else { return nil }
            if let tokens = tokens[mode], tokens.count == bytes.count { return (mode, "tokens", .init(tokens)) }
            return (mode, "bytes", .init(bytes))
        }
    }

    /// The report; see `schemas/distill-report.schema.json`.
    public var json: JSON {
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
