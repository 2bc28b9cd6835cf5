/// A set of real numbers: disjoint intervals in ascending order.
struct RealSet: Equatable {
    private struct Bound {
        /// nil is infinity.
        var value: MathExpression?
        var position: Double
        var isIncluded: Bool
    }

    private struct Interval {
        var low: Bound
        var high: Bound
    }

    private var intervals: [Interval]

    private static let maximumCount = 64
    private static let all = RealSet(intervals: [
        Interval(
            low: Bound(value: nil, position: -.infinity, isIncluded: false),
            high: Bound(value: nil, position: .infinity, isIncluded: false))
    ])

    private init(intervals: [Interval]) { self.intervals = intervals }

    /// Whether a value can be nothing but a set of numbers; `(1, 2)` may be a point.
    static func isSet(_ value: AnswerValue) -> Bool {
        switch value {
        case .union, .intersection, .difference: true
        case .relation: value.isCondition
        case .tuple(let open, let items, let close):
            items.count == 2 && (open == "[" || close == "]" || items.contains { AnswerValue.infinity($0) != nil })
        case .expression(.variable("R")): true
        default: false
        }
    }

    /// The set that a value describes; nil if it is none, or its bounds are not constant.
    init?(_ value: AnswerValue) {
        switch value {
        case .expression(.variable("R")): self = .all
        case .expression:
            guard let bound = Self.bound(value, isIncluded: true) else { return nil }
            self.init(intervals: [Interval(low: bound, high: bound)])
        case .list(let items):
            guard let parts = Self.sets(items) else { return nil }
            self = parts.reduce(RealSet(intervals: [])) { $0.union($1) }
        case .union(let items):
            guard let parts = Self.sets(items) else { return nil }
            self = parts.reduce(RealSet(intervals: [])) { $0.union($1) }
        case .intersection(let items):
            guard let parts = Self.sets(items) else { return nil }
            self = parts.reduce(.all) { $0.intersection($1) }
        case .difference(let first, let second):
            guard let first = RealSet(first), let second = RealSet(second) else { return nil }
            self = first.intersection(second.complement)
        case .tuple(let open, let items, let close):
            guard items.count == 2, let low = Self.bound(items[0], isIncluded: open == "["),
                let high = Self.bound(items[1], isIncluded: close == "]"), low.position < high.position,
                low.position < .infinity, high.position > -.infinity
            else { return nil }
            self.init(intervals: [Interval(low: low, high: high)])
        case .relation(let sides, let signs):
            if signs == ["≠"] || signs == ["="], case .expression(.variable) = sides[0], let point = RealSet(sides[1]) {
                self = signs == ["="] ? point : point.complement
            } else if let magnitudes = Self.magnitudes(sides, signs) {
                self = magnitudes.union(magnitudes.mirrored)
            } else if let solution = AnswerComparison.solution(sides, signs), let set = RealSet(solution) {
                self = set
            } else {
                return nil
            }
        default: return nil
        }
    }

    /// The values of |x| that an inequality describes; nil if it is about something else.
    private static func magnitudes(_ sides: [AnswerValue], _ signs: [Character]) -> RealSet? {
        guard !signs.contains("="),
            let index = sides.firstIndex(where: {
                if case .expression(.absolute(.variable)) = $0 { true } else { false }
            })
        else { return nil }
        var plain = sides
        plain[index] = .expression(.variable("x"))
        let zero = Bound(value: .number(.zero), position: 0, isIncluded: true)
        let positive = Interval(low: zero, high: Bound(value: nil, position: .infinity, isIncluded: false))
        return RealSet(.relation(plain, signs))?.intersection(RealSet(intervals: [positive]))
    }

    /// The set of the negated numbers.
    private var mirrored: RealSet {
        func negated(_ bound: Bound) -> Bound {
            Bound(value: bound.value.map { .negation($0) }, position: -bound.position, isIncluded: bound.isIncluded)
        }
        return RealSet(intervals: intervals.reversed().map { Interval(low: negated($0.high), high: negated($0.low)) })
    }

    private static func sets(_ items: [AnswerValue]) -> [RealSet]? {
        guard items.count <= maximumCount else { return nil }
        let sets = items.compactMap { RealSet($0) }
        return sets.count == items.count ? sets : nil
    }

    private static func bound(_ value: AnswerValue, isIncluded: Bool) -> Bound? {
        if let infinity = AnswerValue.infinity(value) {
            return isIncluded ? nil : Bound(value: nil, position: infinity, isIncluded: false)
        }
        guard case .expression(let expression) = value, expression.variables.isEmpty,
            let number = expression.numericValue({ _ in .nan }), number.isReal
        else { return nil }
        return Bound(value: expression, position: number.real, isIncluded: isIncluded)
    }

    // MARK: Operations

    private func union(_ other: RealSet) -> RealSet {
        var result: [Interval] = []
        let sorted = (intervals + other.intervals).sorted {
            ($0.low.position, $0.low.isIncluded ? 0 : 1) < ($1.low.position, $1.low.isIncluded ? 0 : 1)
        }
        for next in sorted {
            guard let last = result.last,
                next.low.position < last.high.position
                    || (next.low.position == last.high.position && (next.low.isIncluded || last.high.isIncluded))
            else {
                result.append(next)
                continue
            }
            if next.high.position > last.high.position {
                result[result.count - 1].high = next.high
            } else if next.high.position == last.high.position, next.high.isIncluded {
                result[result.count - 1].high.isIncluded = true
            }
        }
        return RealSet(intervals: result)
    }

    private var complement: RealSet {
        var result: [Interval] = []
        var low = Bound(value: nil, position: -.infinity, isIncluded: false)
        func flipped(_ bound: Bound) -> Bound {
            Bound(value: bound.value, position: bound.position, isIncluded: bound.value != nil && !bound.isIncluded)
        }
        func add(_ low: Bound, _ high: Bound) {
            let isPoint = low.position == high.position && low.isIncluded && high.isIncluded
            if low.position < high.position || isPoint { result.append(Interval(low: low, high: high)) }
        }
        for interval in intervals {
            add(low, flipped(interval.low))
            low = flipped(interval.high)
        }
        add(low, Bound(value: nil, position: .infinity, isIncluded: false))
        return RealSet(intervals: result)
    }

    private func intersection(_ other: RealSet) -> RealSet { complement.union(other.complement).complement }

    static func == (left: RealSet, right: RealSet) -> Bool {
        func areEqual(_ left: Bound, _ right: Bound) -> Bool {
            guard left.isIncluded == right.isIncluded else { return false }
            guard let first = left.value, let second = right.value else { return left.position == right.position }
            return AnswerComparison.areEqual(first, second)
        }
        return left.intervals.count == right.intervals.count
            && zip(left.intervals, right.intervals).allSatisfy {
                areEqual($0.low, $1.low) && areEqual($0.high, $1.high)
            }
    }
}

extension AnswerValue {
    /// Plus or minus infinity; nil for other values.
    fileprivate static func infinity(_ value: AnswerValue) -> Double? {
        switch value {
        case .expression(.infinity): .infinity
        case .expression(.negation(.infinity)): -.infinity
        default: nil
        }
    }
}
